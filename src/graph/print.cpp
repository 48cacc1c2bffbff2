#include <charconv>
#include <cmath>
#include <ostream>
#include <sstream>

#include "graph/text.h"
#include "graph/text_form.h"

namespace incipit {
namespace {

// Constants of at most this many elements are printed by value.
constexpr int64_t small_constant = 16;

template <typename T>
std::string number(T value) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  INCIPIT_ASSERT(error == std::errc());
  return std::string(text, end);
}

// Writes every attribute as "name", "text".
class Writer : public AttributeVisitor {
 public:
  void visit(std::string_view name, int64_t& value) override { add(name, number(value)); }
  void visit(std::string_view name, float& value) override { add(name, number(value)); }
  void visit(std::string_view name, bool& value) override { add(name, value ? "true" : "false"); }
  void visit(std::string_view name, std::string& value) override { add(name, incipit::quoted(value)); }
  void visit(std::string_view name, std::vector<int64_t>& value) override {
    std::string text = "[";
    for (size_t i = 0; i < value.size(); ++i) text += (i == 0 ? "" : ", ") + number(value[i]);
    add(name, text + "]");
  }
  void visit(std::string_view name, std::span<const std::string_view> words, size_t& chosen) override {
    add(name, quoted(words[chosen]));
  }
  std::vector<std::pair<std::string, std::string>> attributes;

 private:
  void add(std::string_view name, std::string text) { attributes.emplace_back(name, std::move(text)); }
};

std::string attributes_text(const Op& op) {
  Writer mine, defaults;
  op.clone()->attributes(mine);
  // Ops with bodies are none without them.
  if (const std::unique_ptr<Op> usual = make_op(op.name())) usual->attributes(defaults);
  std::string text;
  for (size_t i = 0; i < mine.attributes.size(); ++i) {
    if (i < defaults.attributes.size() && mine.attributes[i] == defaults.attributes[i]) continue;
    text += (text.empty() ? " {" : ", ") + mine.attributes[i].first + " = " + mine.attributes[i].second;
  }
  return text.empty() ? text : text + "}";
}

// The elements, or nothing where text would not give them back (a NaN has bits that it does not show).
std::optional<std::string> elements_text(const Constant& constant) {
  if (constant.rows() * constant.row_elements() > small_constant) return std::nullopt;
  std::string text = "{";
  const auto append = [&](const std::string& element) { text += (text.size() == 1 ? "" : ", ") + element; };
  switch (constant.dtype()) {
    case DType::f32:
    case DType::f16:
    case DType::bf16: {
      std::vector<float> values(static_cast<size_t>(constant.rows() * constant.row_elements()));
      constant.read_floats(0, constant.rows(), values.data());
      for (const float value : values) {
        if (std::isnan(value)) return std::nullopt;
        append(number(value));
      }
      break;
    }
    case DType::f64: {
      const Tensor values = constant.materialise();
      for (const double value : values.as<double>()) {
        if (std::isnan(value)) return std::nullopt;
        append(number(value));
      }
      break;
    }
    case DType::u64: {
      const Tensor values = constant.materialise();
      for (const uint64_t value : values.as<uint64_t>()) append(number(value));
      break;
    }
    default:
      for (const int64_t value : constant.integers()) append(number(value));
  }
  return text + "}";
}

std::string constant_text(const Constant& constant) {
  if (std::string recipe = constant.recipe(); !recipe.empty()) return recipe;
  if (std::optional<std::string> elements = elements_text(constant)) return *elements;
  return "@" + constant.digest().hex();
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += "\\x";
      result += digits[static_cast<unsigned char>(c) >> 4];
      result += digits[c & 15];
    } else {
      result += c;
    }
  }
  return result + '"';
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '/' || c == ':' || c == '-';
}

std::string name_text(std::string_view name) {
  // A colon at the end would run into the one that follows; "_" is an absent input; "const" begins a line of its own.
  bool plain = !name.empty() && name != "_" && name != "const" && name.back() != ':';
  for (const char c : name) plain = plain && is_name_character(c);
  return plain ? std::string(name) : incipit::quoted(name);
}

namespace {

// Each line of a body begins with a bar, and those of a body in it with two.
void print_bodies(const Op& op, std::ostream& out) {
  for (const auto& [name, body] : op.bodies()) {
    out << "| " << name << ":\n";
    std::istringstream lines(to_text(*body));
    for (std::string line; std::getline(lines, line);) out << "| " << line << '\n';
  }
}

}  // namespace

void print(const Graph& graph, std::ostream& out) {
  const auto list = [&](const std::vector<ValueId>& ids, bool with_types) {
    out << '(';
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) out << ", ";
      if (ids[i] == none) {
        out << '_';
        continue;
      }
      const Value& value = graph.value(ids[i]);
      out << name_text(value.name);
      if (with_types) out << ": " << value.type.text();
    }
    out << ')';
  };
  out << "graph ";
  list(graph.inputs(), true);
  out << " -> ";
  list(graph.outputs(), false);
  out << '\n';
  for (const ValueId id : graph.constants()) {
    const Value& value = graph.value(id);
    out << "const " << name_text(value.name) << " : " << value.type.text() << " = " << constant_text(*value.constant)
        << '\n';
  }
  for (const NodeId n : graph.order()) {
    const Node& node = graph.node(n);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const Value& output = graph.value(node.outputs[i]);
      out << (i == 0 ? "" : ", ") << name_text(output.name) << " : " << output.type.text();
    }
    out << " = " << node.op->name();
    list(node.inputs, false);
    out << attributes_text(*node.op);
    if (node.outputs.empty() || node.name != graph.value(node.outputs[0]).name) out << "  # " << name_text(node.name);
    out << '\n';
    print_bodies(*node.op, out);
  }
}

std::string to_text(const Graph& graph) {
  std::ostringstream out;
  print(graph, out);
  return out.str();
}

}  // namespace incipit
