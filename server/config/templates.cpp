#include "server/config/templates.hpp"

#include <fmt/format.h>

namespace chorus::server {
namespace {

constexpr std::string_view kServer =
    R"(# The daemon of one federation. Paths start at the folder of this file.
# The values written here are the defaults, but for names and addresses.

[server]
federation = "{federation}"
# Where the daemon listens. Port 0: any free port (see chorusd --port-file).
listen = "{listen}"
# What devices are told to connect to; it must be one of the server certificate's names.
advertise = "{advertise}"
# Threads for network and sums. 0: one per CPU core. The result does not depend on it.
threads = 0
# Ledger, journal and model versions.
storage = "data"

[tls]
certificate = "pki/server.pem"
key = "pki/server.key"
# Signs every device and administrator of this federation.
ca = "pki/ca.pem"

[enrollment]
# false: no new devices; then the CA's key may be kept elsewhere.
enabled = true
ca_key = "pki/ca.key"
# Devices renew by themselves before the end.
certificate_validity = "90d"
# The longest a join token may be valid (chorus enroll --valid).
token_validity_max = "7d"

[limits]
connections_max = 20000
# Idle devices beyond this are told to come back later instead of being kept connected.
devices_waiting_max = 10000
# Memory for model bodies, sums and caches; nobody gets a byte beyond it.
memory_budget = "2GiB"
# A device that has sent nothing for this long pings.
heartbeat = "15s"
# A connection that has been silent for this long is closed.
idle_deadline = "1m"
# How long a stopping daemon waits for work in hand.
drain_deadline = "20s"

[journal]
# When a device is told that its update counts: "full", it survives a power cut (fdatasync); or
# "process", it survives a crash of the daemon only.
durability = "full"
segment_bytes = "256MiB"
# Bytes of updates after which the sums are saved and the updates' bodies are dropped.
checkpoint_after = "1GiB"

[log]
# trace, debug, info, warn, error or off.
level = "info"
# Empty: standard error.
file = ""
# One JSON object per line instead of text.
json = false
)";

constexpr std::string_view kDigits =
    R"(# Handwritten digits, 8x8 pixels, ten classes. Submit it with: chorus job submit job.toml
# Values in brackets behind a comment are the defaults.

[job]
# a-z, 0-9 and '-'; unique in the federation.
name = "digits"
description = "Handwritten digits 8x8 (UCI), a small convolutional network"
# Initial weights, cohorts and shuffling follow from it: one seed, one result. [1]
seed = 1
# The job is finished after so many. [100]
rounds = 20
# Files of the newest versions that are kept; older ones are removed. 0: all. [0]
keep_versions = 0

[model]
# One example: channels, height, width; or [features].
input_shape = [1, 8, 8]
# Of the last layer's outputs. [softmax_cross_entropy]
loss = "softmax_cross_entropy"

# type: conv2d (channels, kernel [3], stride [1], padding [0]), max_pool2d (kernel [2], stride
# [kernel]), relu, flatten, dense (units). Layers with weights may have a name.
[[model.layers]]
type = "conv2d"
channels = 16
kernel = 3
padding = 1

[[model.layers]]
type = "relu"

[[model.layers]]
type = "max_pool2d"

[[model.layers]]
type = "conv2d"
channels = 32
kernel = 3
padding = 1

[[model.layers]]
type = "relu"

[[model.layers]]
type = "max_pool2d"

[[model.layers]]
type = "flatten"

[[model.layers]]
type = "dense"
units = 64

[[model.layers]]
type = "relu"

[[model.layers]]
type = "dense"
units = 10

[strategy]
# How updates become the next model: "fedavg", or "median" and "trimmed_mean", which some liars
# among the devices do not sway (docs/strategies.md). [fedavg]
name = "fedavg"
# Step along the mean update, or the median. [1.0]
server_learning_rate = 1.0
# Of fedavg: devices count by their "examples", or all alike: "uniform". [examples]
weighting = "examples"
# Of trimmed_mean: share of the updates left out at either end, of each parameter. [0.1]
# trim = 0.1

[train]
# How long a device trains: one of epochs, steps, examples or seconds. [epochs = 1]
epochs = 3
# [32]
batch_size = 16
# "sgd", "adam", "adamw" or "lamb"; of all but sgd: beta1, beta2, epsilon. [sgd; 0.9, 0.999, 1e-8]
optimiser = "sgd"
# Of sgd alone: momentum, nesterov. [0.01; 0.0, false; 0.0]
learning_rate = 0.05
momentum = 0.9
nesterov = false
weight_decay = 0.0
# The rate of later steps: "constant", "step" (times schedule_factor every schedule_every_steps) or
# "cosine" (down to schedule_factor at schedule_total_steps). [constant; 0.1, 1, 1]
schedule = "constant"
# Steps in which the rate grows to what it is. [0]
warmup_steps = 0
# The longest gradient; 0: any. [0.0]
clip_norm = 0.0
# FedProx: pulls towards the received model with this force. [0.0]
proximal = 0.0
# Batches per step. [1]
accumulate = 1
# "bf16": devices whose CPU multiplies bfloat16 faster may. [f32]
precision = "f32"
# "shuffled" by the seed, "natural", or "curriculum": easy examples first (docs/plan.md). [shuffled]
order = "shuffled"
# Ends training early: after an epoch of at most this mean loss; 0: not. [0.0]
early_stop_loss = 0.0
# Patterns of tensors that are trained ("dense1.*"; none: all), and of those that are not. [none]
trainable = []
frozen = []
# Patterns of tensors that stay on the device between tasks: a head of one's own. [none]
local = []
# "reptile" and "first_order_maml": for what a few further steps make of the model. [none]
meta = "none"
# "received": learns from the scores of the received model, too, so as not to forget. [none]
distil = "none"

# Updates travel as float32 unless a codec is named (docs/compression.md):
# [compress]
# codec = "uniform"
# bits = 8
# Versions as they are, unless a codec is named for what changes from one to the next:
# [compress.down]
# codec = "rotated"
# bits = 4

[pace]
# Devices whose updates are wanted in a round. [10]
cohort = 10
# Invite this many times the cohort, because some will not deliver. [1.0]
over_select = 1.0
# Updates that close the round; at most the devices invited. goal = cohort and over_select = 1
# make the whole run a function of the seed. [cohort]
goal = 10
# With fewer at the deadline the round publishes nothing. [half the goal]
min_reports = 5
# Of a round, from its opening; "0s": none. [10m]
deadline = "2m"
# Uploads begun before the deadline may take this much longer. [30s]
grace = "30s"
# After this a round opens with fewer devices, at least min_reports; "0s": wait for all. [1m]
selection_deadline = "0s"

[limits]
# Examples one device may claim, and the largest element of an update; beyond: it is rejected.
# [1000000, 100.0]
examples_max = 10000
value_max = 100.0

[evaluation]
# Share of the round's devices that measure the new version on their hold-out data. [1.0]
fraction = 1.0
# Rounds between two measurements. [1]
every = 1
# [1m]
deadline = "1m"
# [256]
batch_size = 256

[selection]
# Who is invited. [uniform]
name = "uniform"

# Ends the job early when an evaluation reaches a value:
# [stop]
# metric = "accuracy"
# at_least = 0.98
)";

}  // namespace

std::string server_toml(const ServerFacts& facts) {
  return fmt::format(fmt::runtime(kServer),
                     fmt::arg("federation", facts.federation),
                     fmt::arg("listen", facts.listen),
                     fmt::arg("advertise", facts.advertise));
}

std::string digits_job_toml() {
  return std::string(kDigits);
}

}  // namespace chorus::server
