#include "client/train/tape/multiply.hpp"

#include <limits>

#include <oneapi/dnnl/dnnl.hpp>

namespace chorus::train {
namespace {

// Below this many multiplications the call of a general library costs too much; above it, packing
// pays. Both paths are on one thread or many as ThreadLimit says; ours is always on one. On other
// CPUs oneDNN's product is a plain loop that allocates in every call.
#if defined(__x86_64__)
constexpr std::size_t kOwnMax = 32U << 20U;
#else
constexpr std::size_t kOwnMax = std::numeric_limits<std::size_t>::max();
#endif

bool is_small(const Product& p) {
  return p.m * p.n * p.k <= kOwnMax;
}

void multiply(char transpose_a, char transpose_b, const Product& p) {
  const auto dim = [](std::size_t value) { return static_cast<dnnl_dim_t>(value); };
  const dnnl_status_t status = dnnl_sgemm(transpose_a,
                                          transpose_b,
                                          dim(p.m),
                                          dim(p.n),
                                          dim(p.k),
                                          p.alpha,
                                          p.a,
                                          dim(p.lda),
                                          p.b,
                                          dim(p.ldb),
                                          p.beta,
                                          p.c,
                                          dim(p.ldc));
  dnnl::error::wrap_c_api(status, "a product of matrices failed");
}

}  // namespace

void multiply_nt(const Product& p) {
  if (is_small(p)) return kernels::product_nt_f32(p);
  multiply('N', 'T', p);
}

void multiply_nn(const Product& p) {
  if (is_small(p)) return kernels::product_nn_f32(p);
  multiply('N', 'N', p);
}

void multiply_tn(const Product& p) {
  if (is_small(p)) return kernels::product_tn_f32(p);
  multiply('T', 'N', p);
}

}  // namespace chorus::train
