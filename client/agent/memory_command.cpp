#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ostream>

#include "client/agent/commands.hpp"
#include "client/agent/model_source.hpp"
#include "client/train/optimiser.hpp"
#include "client/train/tape/tape.hpp"
#include "common/base/try.hpp"
#include "common/tensor/aligned_buffer.hpp"

namespace chorus::agent {

Result<void> memory(const MemoryCommand& command, std::ostream& out) {
  CHORUS_TRY(const ModelSource source, load_model(command.model, 1));
  CHORUS_TRY(const TensorLayout layout, layout_of(source.model));
  CHORUS_TRY(auto parameters, tensor::AlignedBuffer<float>::create(layout.parameters));
  CHORUS_TRY(auto gradient, tensor::AlignedBuffer<float>::create(layout.parameters));
  const train::ThreadLimit one(1);
  std::uint64_t arena = 0;
  CHORUS_OK(train::guarded([&] {
    const train::Tape tape({&source.model,
                            &layout,
                            parameters.data(),
                            gradient.data(),
                            command.batch,
                            train::Tape::Mode::train});
    arena = tape.arena_bytes();
  }));
  const std::uint64_t numbers = layout.parameters * sizeof(float);
  const std::uint64_t state = train::OptimiserState::vectors_of(source.train.optimiser) * numbers;
  const nlohmann::ordered_json value{{"batch", command.batch},
                                     {"parameter_bytes", numbers},
                                     {"gradient_bytes", numbers},
                                     {"optimiser_bytes", state},
                                     {"arena_bytes", arena},
                                     {"total_bytes", 2 * numbers + state + arena}};
  out << value.dump() << '\n';
  return {};
}

}  // namespace chorus::agent
