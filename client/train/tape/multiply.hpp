// Products of row-major matrices: ours for small ones, oneDNN's for the rest. Internal to this
// folder.
#pragma once

#include "chorus/kernels/products.hpp"

namespace chorus::train {

using kernels::Product;

void multiply_nt(const Product& p);  ///< C ← α·A·Bᵀ + β·C
void multiply_nn(const Product& p);  ///< C ← α·A·B + β·C
void multiply_tn(const Product& p);  ///< C ← α·Aᵀ·B + β·C

}  // namespace chorus::train
