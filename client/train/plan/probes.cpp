#include "client/train/plan/probes.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <numeric>
#include <string>
#include <variant>

#include "client/train/plan/sources.hpp"
#include "common/base/try.hpp"
#include "common/tensor/layer_names.hpp"

namespace chorus::train {
namespace {

using client::ReportPart;

class Probes {
 public:
  explicit Probes(Passes& passes)
      : passes_(passes), probe_(passes.plan().probe), layout_(passes.network().layout()) {
    const std::size_t all = passes.data().size();
    const std::size_t most = std::size_t{probe_.batches} * passes.batch_size();
    rows_ = first_rows(probe_.batches == 0 ? all : std::min(all, most));
  }

  Result<Measured> run() {
    if (probe_.gradient_norms) CHORUS_OK(gradient_norms());
    if (probe_.losses) CHORUS_OK(losses());
    if (probe_.labels) CHORUS_OK(labels());
    if (probe_.statistics) CHORUS_OK(statistics());
    if (!probe_.representation.empty()) CHORUS_OK(representations());
    measured_.examples = rows_.size();
    return std::move(measured_);
  }

 private:
  using Work = std::function<Result<void>(Rows batch)>;

  Result<void> each_batch(const Work& work) const {
    for (std::size_t first = 0; first < rows_.size(); first += passes_.batch_size()) {
      const std::size_t count = std::min(passes_.batch_size(), rows_.size() - first);
      CHORUS_OK(work(std::span(rows_).subspan(first, count)));
    }
    return {};
  }

  void add(ReportKind kind, const std::vector<double>& numbers) {
    ReportPart part{kind, {}};
    for (const double x : numbers) part.numbers.push_back(static_cast<float>(x));
    measured_.parts.push_back(std::move(part));
  }

  Result<void> gradient_norms() {
    CHORUS_TRY(auto whole, WholeGradient::create(passes_));
    double squares = 0.0;
    double batches = 0.0;
    const auto work = [&](Rows batch) -> Result<void> {
      CHORUS_OK(whole.add(passes_, batch, Counted::no));
      squares += vectors::squared_norm(passes_.trained(), passes_.network().gradient());
      batches += 1.0;
      return {};
    };
    CHORUS_OK(each_batch(work));
    const std::span<const float> mean = whole.mean(passes_);
    std::vector<double> norms;
    for (const TensorSpec& tensor : layout_.tensors) {
      if (tensor.buffer) continue;
      const tensor::Range range{tensor.offset, tensor.count};
      norms.push_back(vectors::squared_norm({&range, 1}, mean));
    }
    add(ReportKind::gradient_norms, norms);
    measured_.metrics.push_back({"norm_test_mean", squares / batches});
    measured_.metrics.push_back(
        {"norm_test_square", vectors::squared_norm(passes_.trained(), mean)});
    return {};
  }

  Result<void> losses() {
    std::vector<double> all(rows_.size());
    std::size_t first = 0;
    const auto work = [&](Rows batch) -> Result<void> {
      const auto here = std::span(all).subspan(first, batch.size());
      CHORUS_OK(passes_.network().losses_of(passes_.data(), passes_.batch(batch), here));
      first += batch.size();
      return {};
    };
    CHORUS_OK(each_batch(work));
    const auto count = static_cast<double>(all.size());
    const double mean = std::accumulate(all.begin(), all.end(), 0.0) / count;
    if (!std::isfinite(mean)) {
      return fail(errc::not_finite, "the received model's loss is not finite on this device");
    }
    double squares = 0.0;
    for (const double x : all) squares += (x - mean) * (x - mean);
    std::sort(all.begin(), all.end());
    // Between neighbours by where the place falls, as numpy.quantile does.
    const auto quantile = [&](double share) {
      const double place = share * (count - 1.0);
      const auto low = static_cast<std::size_t>(place);
      const std::size_t high = std::min(low + 1, all.size() - 1);
      return all[low] + (place - static_cast<double>(low)) * (all[high] - all[low]);
    };
    add(ReportKind::losses,
        {mean,
         std::sqrt(squares / count),
         all.front(),
         quantile(0.25),
         quantile(0.5),
         quantile(0.75),
         all.back()});
    return {};
  }

  Result<std::size_t> classes() const {
    if (passes_.network().model().loss != Loss::softmax_cross_entropy) {
      return fail(errc::unsupported_feature,
                  "the plan's probe asks for classes; the model's loss has none");
    }
    return passes_.network().outputs() / passes_.network().score_rows();
  }

  Result<void> labels() {
    CHORUS_TRY(const std::size_t count, classes());
    std::vector<double> counts(count, 0.0);
    const auto work = [&](Rows batch) -> Result<void> {
      CHORUS_OK(passes_.network().loss_of(passes_.data(), passes_.batch(batch)));
      for (const std::uint32_t label : passes_.network().labels()) counts[label] += 1.0;
      return {};
    };
    CHORUS_OK(each_batch(work));
    add(ReportKind::labels, counts);
    return {};
  }

  // What a batch moves the running values by, starting from 0, is its share of what it has.
  Result<void> statistics() {
    std::vector<double> shares;  // by buffer of the layout
    for (const Layer& layer : passes_.network().model().layers) {
      if (const auto* norm = std::get_if<BatchNorm>(&layer)) {
        shares.insert(shares.end(), 2, norm->momentum);
      }
    }
    std::vector<double> sums;
    for (const auto& [offset, count] : passes_.buffers()) sums.insert(sums.end(), count, 0.0);
    const BuffersKept kept(passes_);
    const auto work = [&](Rows batch) -> Result<void> {
      const auto weights = passes_.network().parameters();
      vectors::scale(passes_.buffers(), 0.0F, weights);
      CHORUS_OK(passes_.gradient(batch, Counted::no));
      std::size_t place = 0;
      std::size_t buffer = 0;
      for (const TensorSpec& tensor : layout_.tensors) {
        if (!tensor.buffer) continue;
        const double weight = static_cast<double>(batch.size()) /
                              (static_cast<double>(rows_.size()) * shares[buffer++]);
        for (const float x : weights.subspan(tensor.offset, tensor.count)) {
          sums[place++] += weight * double{x};
        }
      }
      return {};
    };
    CHORUS_OK(each_batch(work));
    add(ReportKind::statistics, sums);
    return {};
  }

  Result<std::size_t> observed_layer() const {
    const ModelSpec& model = passes_.network().model();
    CHORUS_TRY(const auto names, tensor::layer_names(model));
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto* mark = std::get_if<Mark>(&model.layers[i]);
      if (names[i] == probe_.representation || (mark && mark->name == probe_.representation)) {
        return i;
      }
    }
    return fail(errc::invalid_argument,
                fmt::format("the plan's probe.representation '{}' is no layer with tensors and no "
                            "mark of the model",
                            probe_.representation));
  }

  Result<void> representations() {
    CHORUS_TRY(const std::size_t layer, observed_layer());
    std::size_t groups = 1;
    if (probe_.by_class) {
      CHORUS_TRY(groups, classes());
      if (passes_.network().score_rows() > 1) {
        return fail(errc::unsupported_feature,
                    "the plan's probe asks for a mean per class; examples here have a class at "
                    "every step");
      }
    }
    std::vector<double> sums;
    std::vector<double> counts(groups, 0.0);
    const auto work = [&](Rows batch) -> Result<void> {
      CHORUS_TRY(const auto outputs,
                 passes_.network().outputs_of(passes_.data(), passes_.batch(batch), layer));
      const std::size_t width = outputs.size() / batch.size();
      sums.resize(groups * width, 0.0);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const std::size_t group = probe_.by_class ? passes_.network().labels()[i] : 0;
        counts[group] += 1.0;
        for (std::size_t j = 0; j < width; ++j) {
          sums[group * width + j] += double{outputs[i * width + j]};
        }
      }
      return {};
    };
    CHORUS_OK(each_batch(work));
    const std::size_t width = sums.size() / groups;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      if (counts[i / width] > 0.0) sums[i] /= counts[i / width];
    }
    add(ReportKind::representations, sums);
    return {};
  }

  Passes& passes_;
  const Probe& probe_;
  const TensorLayout& layout_;
  std::vector<std::uint32_t> rows_;
  Measured measured_;
};

}  // namespace

Result<Measured> run_probes(Passes& passes) {
  if (passes.plan().probe == Probe{}) return Measured{};
  const BuffersKept kept(passes);
  return Probes(passes).run();
}

}  // namespace chorus::train
