// The line of stages that makes an engine of a model; compile.cpp reads from the first to the last. A stage takes a
// value and gives the next one, which is what came before it and what the stage has decided.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/target.h"
#include "compile/compile.h"
#include "compile/kept_measurements.h"
#include "compile/lower_plain_graph.h"
#include "compile/plan_draft.h"
#include "engine/writer.h"
#include "graph/model.h"
#include "tune/cuda_compiler.h"

namespace incipit {

/// A model whose graph the passes have rewritten.
struct Rewritten {
  Model model;
  PortNames ports;
  CompileReport report;  // grows from stage to stage
};

/// All of the engine but its kernels and where its bytes lie. Decoders and plain graphs part ways in making it, and
/// nowhere else.
struct Planned : Rewritten {
  explicit Planned(Rewritten before) : Rewritten(std::move(before)) {}

  PlanDraft draft;
  std::vector<std::byte> tokenizer;  // tables; empty: none
};

/// Every step of the plan has its kernels.
struct Tuned : Planned {
  explicit Tuned(Planned before) : Planned(std::move(before)) {}
};

/// The weights are in the file, and nothing else is; the plan says where.
struct Packed : Tuned {
  explicit Packed(Tuned before) : Tuned(std::move(before)) {}
};

Planned plan_decoder(Rewritten rewritten, const CompileOptions& options, const Target& target);
Planned plan_plain_graph(Rewritten rewritten, const CompileOptions& options, const Target& target);
/// `compiler`: of kernels for a GPU; null for other targets.
Tuned choose_kernels(Planned planned, const CompileOptions& options, const Target& target, KeptMeasurements& kept,
                     CudaCompiler* compiler, Progress& progress);
/// What the target's device is to have in its section `device_code`; empty: nothing.
std::vector<std::byte> make_device_code(const Tuned& tuned, const Target& target, CudaCompiler* compiler,
                                        Progress& progress);
Packed pack_weights(Tuned tuned, const CompileOptions& options, EngineWriter& writer, Progress& progress);
CompileReport finish_engine(Packed packed, const CompileOptions& options, const Target& target,
                            std::span<const std::byte> device_code, EngineWriter& writer);

}  // namespace incipit
