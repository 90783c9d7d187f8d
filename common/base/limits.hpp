// Every limit of Chorus, in one place. Each has a test that goes one beyond it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace chorus::limits {

using namespace std::chrono_literals;

// Wire (docs/protocol.md).
inline constexpr std::size_t kMessageBytesMax = 64U << 10U;    ///< protobuf message of one frame
inline constexpr std::size_t kChunkBytesMax = 1U << 20U;       ///< raw body of one frame
inline constexpr std::uint64_t kModelBytesMax = 16ULL << 30U;  ///< one model or update
inline constexpr std::size_t kMetricsMax = 32;       ///< metrics a device may report per task
inline constexpr std::size_t kNameBytesMax = 63;     ///< job, device, metric and tensor-free names
inline constexpr std::size_t kDetailBytesMax = 512;  ///< text of an error sent to a peer
inline constexpr std::size_t kJobFileBytesMax = 48U << 10U;  ///< job.toml as submitted
inline constexpr std::size_t kPageRowsMax = 200;             ///< rows of one admin reply
inline constexpr std::size_t kSoftwareBytesMax = 64;         ///< "chorus-agent 0.1.0"
inline constexpr std::size_t kFeaturesMax = 64;              ///< vocabulary a device or plan names
inline constexpr std::size_t kTokenBytesMax = 256;           ///< secret part of a join token
inline constexpr std::size_t kCertificateBytesMax = 16U << 10U;  ///< certificate or request, DER
inline constexpr auto kSpanMax = 366 * 24h;                      ///< longest time span in a message

// Models.
inline constexpr std::size_t kTensorsMax = 4096;
inline constexpr std::size_t kTensorRankMax = 8;
inline constexpr std::size_t kTensorNameBytesMax = 256;
inline constexpr std::size_t kLayersMax = 1024;
inline constexpr std::size_t kSafetensorsHeaderBytesMax = 4U << 20U;
inline constexpr std::uint64_t kActivationElementsMax = 1ULL << 28U;  ///< of one layer, per example
inline constexpr std::size_t kModelJsonBytesMax = 256U << 10U;        ///< architecture as JSON
inline constexpr std::size_t kClassWeightsMax = 4096;                 ///< of a loss
inline constexpr std::size_t kLayerAttributesMax = 16;  ///< options of one layer in a message

// Plans.
inline constexpr std::size_t kPatternsMax = 64;        ///< of tensor names, in one field of a plan
inline constexpr std::uint32_t kDirectionsMax = 1024;  ///< zeroth-order directions of one step
inline constexpr std::size_t kPlanScalesMax = 1024;    ///< offsets and scales of features
inline constexpr std::uint32_t kCandidatesMax = 64;    ///< models a device chooses from
inline constexpr std::size_t kReportPartsMax = 16;     ///< vectors of one report
inline constexpr std::size_t kStateVectorsMax = 16;    ///< that a trainer keeps for one job

// Codecs.
inline constexpr std::uint32_t kCodecBucketMin = 64;
inline constexpr std::uint32_t kCodecBucketMax = 65536;       ///< elements with one scale
inline constexpr std::uint32_t kCodecRankMax = 32;            ///< columns of a factor
inline constexpr std::uint64_t kBasisBytesMax = 1ULL << 28U;  ///< what a round's devices share
inline constexpr std::size_t kCodecRulesMax = 512;            ///< exceptions of a plan of codecs
inline constexpr std::size_t kVersionStepsMax = 8;         ///< from version to version, of a task
inline constexpr std::size_t kUpdatePiecesMax = 20'480;    ///< payloads of a compressed update
inline constexpr std::uint32_t kPlanStepsMax = 1'000'000;  ///< resolution of an error budget

// Rounds.
inline constexpr std::uint64_t kRoundsMax = 10'000'000;  ///< of a job
inline constexpr std::uint32_t kCohortMax = 100'000;
inline constexpr std::uint64_t kExamplesMax = 1ULL << 32U;  ///< ceiling of a job's examples_max
inline constexpr std::size_t kJobsMax = 256;                ///< open jobs of one daemon
inline constexpr std::size_t kFoldBatch = 32;               ///< staged updates folded at once

// Sessions.
inline constexpr auto kConnectDeadline = 10s;
inline constexpr auto kHandshakeDeadline = 10s;
inline constexpr auto kHelloDeadline = 10s;
inline constexpr auto kChunkDeadline = 60s;    ///< one whole frame must arrive or leave within this
inline constexpr auto kHeartbeat = 15s;        ///< a device pings at least this often
inline constexpr auto kIdleDeadline = 60s;     ///< silence after which a session is closed
inline constexpr std::size_t kOutboxMax = 16;  ///< messages waiting for one slow peer
inline constexpr std::size_t kAuditPendingMax = 1000;  ///< audit entries waiting for the store

// Certificates and TLS.
inline constexpr std::size_t kCsrBytesMax = 8U << 10U;         ///< certificate request of a device
inline constexpr std::size_t kPeerChainBytesMax = 16U << 10U;  ///< certificates a TLS peer may send
inline constexpr auto kRefusalLinger = 1s;  ///< a refused peer's time to read why

// Store.
inline constexpr std::size_t kAuditRowsMax = 100'000;                ///< the newest are kept
inline constexpr std::uint64_t kSpareSegmentBytesMax = 1ULL << 30U;  ///< journal files to reuse
/// Journal records one upload may take: kUploadRecordsSlack, and one for each so many bytes of it.
inline constexpr std::uint64_t kUploadRecordsSlack = 1024;
inline constexpr std::uint64_t kUploadBytesPerRecordMin = 4096;

// Devices.
inline constexpr auto kReconnectFirst = 250ms;
inline constexpr auto kReconnectMax = 30s;
inline constexpr std::size_t kCachedVersionsMax = 2;

// Files of examples.
inline constexpr std::size_t kCsvFieldBytesMax = 64U << 10U;
inline constexpr std::size_t kCsvColumnsMax = 1U << 20U;
inline constexpr std::size_t kNpyHeaderBytesMax = 64U << 10U;
inline constexpr std::uint64_t kImageFileBytesMax = 256ULL << 20U;
inline constexpr std::uint64_t kImagePixelsMax = 1ULL << 28U;  ///< of one picture, decoded

}  // namespace chorus::limits
