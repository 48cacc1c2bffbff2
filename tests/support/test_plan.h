// A plan as plain data, for tests that need one without the compiler: change a field, build, see what a reader says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/plan_generated.h"

namespace incipit {

struct TestOperand {
  plan::Space space = plan::Space::absent;
  uint32_t index = 0, column = 0, width = 0;
};

struct TestKernelUse {
  std::string kernel;
  uint32_t abi = 1;
  std::string config = "default";
};

struct TestStep {
  std::string name, problem;
  plan::Axis axis = plan::Axis::tokens;
  std::vector<TestOperand> inputs, outputs;
  std::vector<TestKernelUse> kernels;  // one a bucket
};

struct TestPlane {
  std::string kind, dtype;
  uint64_t offset = 0, bytes = 0;
};

struct TestWeight {
  std::string name, layout = "dense", format = "f32";
  uint32_t rows = 1, columns = 1;
  bool gated = false;
  std::vector<TestPlane> planes;
  uint32_t experts = 1;
};

struct TestBuffer {
  std::string name, dtype = "f32";
  plan::Axis axis = plan::Axis::tokens;
  uint32_t width = 1;
};

struct TestBucket {
  uint32_t tokens = 1, rows = 1, sequences = 1;
  uint64_t arena_bytes = 0;
  std::vector<uint64_t> offsets;
};

struct TestGroup {
  std::vector<uint32_t> layers;
  uint32_t window = 0, kv_heads = 1, head_dim = 2;
  std::string dtype = "f32";
  uint32_t page_tokens = 16;
  uint64_t page_bytes = 0;
  std::string layout = "kv-vnni";
};

struct TestAttribute {
  std::string name;
  plan::AttributeKind kind = plan::AttributeKind::integer;
  int64_t integer = 0;
  std::vector<int64_t> integers;
  std::string text;
};

struct TestPort {
  std::string name, dtype = "f32";
  std::vector<std::string> extents;
  uint32_t value = 0;
};

struct TestConstant {
  std::string name, dtype = "f32";
  std::vector<uint64_t> shape;
  uint64_t offset = 0;
};

struct TestOperation {
  std::string name, op;
  std::vector<TestAttribute> attributes;
  uint32_t step = 0;
  std::vector<int32_t> inputs;
  uint32_t outputs = 1;
};

struct TestGraph {
  std::vector<TestPort> inputs, outputs;
  std::vector<TestConstant> constants;
  std::vector<TestOperation> operations;
};

struct TestPlan {
  uint32_t vocabulary = 1, hidden = 1, layers = 1, max_context = 1, max_sequences = 1;
  uint64_t memory_limit = 0;
  int32_t begin_id = -1;
  std::vector<int32_t> end_ids;
  std::string precision = "f32";
  std::vector<TestWeight> weights;
  std::vector<TestBuffer> buffers;
  std::vector<TestStep> steps;
  uint32_t logits = 0;
  std::vector<TestBucket> buckets;
  std::vector<TestGroup> groups;
  TestStep resolve_tokens, sample;
  std::optional<TestGraph> graph;

  std::vector<std::byte> build() const;
};

namespace test_plan_detail {

template <typename T, typename F>
auto build_list(const std::vector<T>& list, F&& build_one) {
  std::vector<decltype(build_one(list.front()))> built;
  for (const T& one : list) built.push_back(build_one(one));
  return built;
}

inline auto build_step(flatbuffers::FlatBufferBuilder& builder, const TestStep& step) {
  const auto operand = [&](const TestOperand& one) {
    return plan::CreateOperand(builder, one.space, one.index, one.column, one.width);
  };
  const auto inputs = build_list(step.inputs, operand), outputs = build_list(step.outputs, operand);
  const auto kernels = build_list(step.kernels, [&](const TestKernelUse& one) {
    return plan::CreateKernelUseDirect(builder, one.kernel.c_str(), one.abi, one.config.c_str());
  });
  return plan::CreateStepDirect(builder, step.name.c_str(), step.problem.c_str(), step.axis, &inputs, &outputs,
                                &kernels);
}

inline auto build_port(flatbuffers::FlatBufferBuilder& builder, const TestPort& port) {
  const auto extents = build_list(port.extents, [&](const std::string& one) { return builder.CreateString(one); });
  return plan::CreatePortDirect(builder, port.name.c_str(), port.dtype.c_str(), &extents, port.value);
}

inline auto build_operation(flatbuffers::FlatBufferBuilder& builder, const TestOperation& operation) {
  const auto attributes = build_list(operation.attributes, [&](const TestAttribute& one) {
    return plan::CreateAttributeDirect(builder, one.name.c_str(), one.kind, one.integer, 0, one.text.c_str(),
                                       &one.integers);
  });
  return plan::CreateOperationDirect(builder, operation.name.c_str(), operation.op.c_str(), &attributes, operation.step,
                                     &operation.inputs, operation.outputs);
}

inline auto build_graph(flatbuffers::FlatBufferBuilder& builder, const TestGraph& graph) {
  const auto port = [&](const TestPort& one) { return build_port(builder, one); };
  const auto inputs = build_list(graph.inputs, port), outputs = build_list(graph.outputs, port);
  const auto constants = build_list(graph.constants, [&](const TestConstant& one) {
    return plan::CreateGraphConstantDirect(builder, one.name.c_str(), one.dtype.c_str(), &one.shape, one.offset);
  });
  const auto operations =
      build_list(graph.operations, [&](const TestOperation& one) { return build_operation(builder, one); });
  return plan::CreatePlainGraphDirect(builder, &inputs, &constants, &operations, &outputs);
}

}  // namespace test_plan_detail

inline std::vector<std::byte> TestPlan::build() const {
  using namespace test_plan_detail;
  flatbuffers::FlatBufferBuilder builder;
  const auto built_weights = build_list(weights, [&](const TestWeight& one) {
    const auto planes = build_list(one.planes, [&](const TestPlane& plane) {
      return plan::CreatePlaneDirect(builder, plane.kind.c_str(), plane.dtype.c_str(), plane.offset, plane.bytes);
    });
    return plan::CreateWeightDirect(builder, one.name.c_str(), one.layout.c_str(), one.format.c_str(), one.rows,
                                    one.columns, one.gated, &planes, one.experts);
  });
  const auto built_buffers = build_list(buffers, [&](const TestBuffer& one) {
    return plan::CreateBufferDirect(builder, one.name.c_str(), one.dtype.c_str(), one.axis, one.width);
  });
  const auto built_steps = build_list(steps, [&](const TestStep& one) { return build_step(builder, one); });
  const auto built_buckets = build_list(buckets, [&](const TestBucket& one) {
    return plan::CreateBucketDirect(builder, one.tokens, one.rows, one.sequences, one.arena_bytes, &one.offsets);
  });
  const auto built_groups = build_list(groups, [&](const TestGroup& one) {
    return plan::CreateCacheGroupDirect(builder, &one.layers, one.window, one.kv_heads, one.head_dim, one.dtype.c_str(),
                                        one.page_tokens, one.page_bytes, one.layout.c_str());
  });
  const auto resolve = build_step(builder, resolve_tokens);
  const auto drawn = build_step(builder, sample);
  const auto built_graph = graph ? build_graph(builder, *graph) : flatbuffers::Offset<plan::PlainGraph>();
  builder.Finish(
      plan::CreatePlanDirect(builder, vocabulary, hidden, layers, max_context, max_sequences, memory_limit, begin_id,
                             &end_ids, precision.c_str(), &built_weights, &built_buffers, &built_steps, logits,
                             &built_buckets, &built_groups, resolve, drawn, built_graph),
      plan::PlanIdentifier());
  const auto* data = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {data, data + builder.GetSize()};
}

}  // namespace incipit
