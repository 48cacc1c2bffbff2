#include <algorithm>
#include <charconv>
#include <variant>

#include "graph/text.h"
#include "graph/text_form.h"

namespace incipit {
namespace {

// A number is kept as its text, so that the attribute it goes to decides what it is.
struct NumberText {
  std::string_view text;
};
using AttributeText = std::variant<NumberText, bool, std::string, std::vector<NumberText>>;

template <typename T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// A line of the text, or of a graph in it: without the bars before it.
struct NumberedLine {
  std::string_view text;
  size_t number;
};
using Lines = std::span<const NumberedLine>;

bool is_behind_bar(const NumberedLine& line) { return line.text.starts_with('|'); }

// One line, read from left to right.
class Line {
 public:
  Line(std::string_view text, size_t number) : text_(text), number_(number) {}

  [[noreturn]] void fail(const std::string& fault) const {
    throw Error("graph text, line " + std::to_string(number_), fault, "see the text form in graph/graph.h");
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool at_end() {
    skip_spaces();
    return at_ == text_.size();
  }
  bool take(std::string_view wanted) {
    skip_spaces();
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }
  void expect(std::string_view wanted) {
    if (!take(wanted)) fail("'" + std::string(wanted) + "' is missing at character " + std::to_string(at_ + 1));
  }
  bool peek(char c) {
    skip_spaces();
    return at_ < text_.size() && text_[at_] == c;
  }
  /// Everything up to a character of `stops`.
  std::string_view until(std::string_view stops) {
    skip_spaces();
    const size_t end = std::min(text_.find_first_of(stops, at_), text_.size());
    std::string_view part = text_.substr(at_, end - at_);
    at_ = end;
    while (part.ends_with(' ')) part.remove_suffix(1);
    return part;
  }
  std::string name() {
    if (peek('"')) return string();
    const size_t start = at_;
    while (at_ < text_.size() && is_name_character(text_[at_])) ++at_;
    // "x: f32[T]": the colon belongs to the type.
    if (at_ > start && text_[at_ - 1] == ':') --at_;
    if (at_ == start) fail("a name is missing at character " + std::to_string(at_ + 1));
    return std::string(text_.substr(start, at_ - start));
  }
  std::string string() {
    expect("\"");
    std::string value;
    for (;;) {
      if (at_ >= text_.size()) fail("a string does not end");
      const char c = text_[at_++];
      if (c == '"') return value;
      if (c != '\\') {
        value += c;
        continue;
      }
      if (at_ >= text_.size()) fail("a string does not end");
      const char escaped = text_[at_++];
      if (escaped == '"' || escaped == '\\') {
        value += escaped;
      } else {
        uint8_t code = 0;
        const std::string_view digits = text_.substr(at_, 2);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (escaped != 'x' || digits.size() != 2 || error != std::errc() || end != digits.data() + 2) {
          fail("a string has an escape that is none of \\\" \\\\ \\xHH");
        }
        value += static_cast<char>(code);
        at_ += 2;
      }
    }
  }
  NumberText number() {
    skip_spaces();
    const size_t start = at_;
    while (at_ < text_.size() && (is_name_character(text_[at_]) || text_[at_] == '+')) ++at_;
    if (at_ == start) fail("a number is missing at character " + std::to_string(at_ + 1));
    return {text_.substr(start, at_ - start)};
  }
  ValueType type() {
    if (take("cache")) return ValueType::cache();
    ValueType type;
    try {
      type.dtype = dtype_from_name(until("[ "));
      expect("[");
      if (take("]")) return type;
      for (;;) {
        type.shape.push_back(Dim::parse(until(",]")));
        if (take("]")) return type;
        expect(",");
      }
    } catch (const Error& error) {
      if (error.thing().starts_with("graph text")) throw;
      fail(error.thing() + " " + error.fault());
    }
  }
  AttributeText attribute() {
    if (peek('"')) return string();
    if (take("true")) return true;
    if (take("false")) return false;
    if (!take("[")) return number();
    std::vector<NumberText> list;
    if (take("]")) return list;
    for (;;) {
      list.push_back(number());
      if (take("]")) return list;
      expect(",");
    }
  }

 private:
  std::string_view text_;
  size_t number_;
  size_t at_ = 0;
};

// Sets the attributes of an op from what a line says.
class Reader : public AttributeVisitor {
 public:
  Reader(const Line& line, std::map<std::string, AttributeText> attributes)
      : line_(line), attributes_(std::move(attributes)) {}
  void visit(std::string_view name, int64_t& value) override { read_as_number(name, value, "a whole number"); }
  void visit(std::string_view name, float& value) override { read_as_number(name, value, "a number"); }
  void visit(std::string_view name, bool& value) override {
    if (const AttributeText* text = take(name)) value = get<bool>(name, *text, "true or false");
  }
  void visit(std::string_view name, std::string& value) override {
    if (const AttributeText* text = take(name)) value = get<std::string>(name, *text, "a string");
  }
  void visit(std::string_view name, std::vector<int64_t>& value) override {
    const AttributeText* text = take(name);
    if (text == nullptr) return;
    value.clear();
    for (const NumberText& element : get<std::vector<NumberText>>(name, *text, "a list")) {
      if (!read_number(element.text, value.emplace_back())) bad(name, "a list of whole numbers");
    }
  }
  void visit(std::string_view name, std::span<const std::string_view> words, size_t& chosen) override {
    const AttributeText* text = take(name);
    if (text == nullptr) return;
    const auto& word = get<std::string>(name, *text, "a string");
    const std::optional<size_t> found = find_word(words, word);
    if (!found) line_.fail("attribute " + std::string(name) + " cannot be " + incipit::quoted(word));
    chosen = *found;
  }
  void finish(std::string_view op) const {
    for (const auto& [name, text] : attributes_) {
      if (!taken_.contains(name)) line_.fail(std::string(op) + " has no attribute '" + name + "'");
    }
  }

 private:
  [[noreturn]] void bad(std::string_view name, const std::string& wanted) const {
    line_.fail("attribute " + std::string(name) + " must be " + wanted);
  }
  const AttributeText* take(std::string_view name) {
    const auto found = attributes_.find(std::string(name));
    if (found == attributes_.end()) return nullptr;
    taken_.emplace(name, true);
    return &found->second;
  }
  template <typename T>
  const T& get(std::string_view name, const AttributeText& text, const std::string& wanted) const {
    const T* value = std::get_if<T>(&text);
    if (value == nullptr) bad(name, wanted);
    return *value;
  }
  template <typename T>
  void read_as_number(std::string_view name, T& value, const std::string& wanted) {
    const AttributeText* text = take(name);
    if (text != nullptr && !read_number(get<NumberText>(name, *text, wanted).text, value)) bad(name, wanted);
  }
  const Line& line_;
  std::map<std::string, AttributeText> attributes_;
  std::map<std::string, bool> taken_;
};

}  // namespace

// Not in the anonymous namespace: the graph knows it as a friend.
class GraphParser {
 public:
  // `depth`: how many graphs may lie in one another.
  GraphParser(const ConstantResolver& resolve, int depth) : resolve_(resolve), depth_(depth) {}

  Graph parse(Lines lines) {
    for (size_t i = 0; i < lines.size();) {
      size_t end = i + 1;
      while (end < lines.size() && is_behind_bar(lines[end])) ++end;
      read(lines[i], lines.subspan(i + 1, end - i - 1));
      i = end;
    }
    return finish();
  }

 private:
  // A line, and those of the graphs that belong to it.
  void read(const NumberedLine& numbered, Lines graphs) {
    Line line(numbered.text, numbered.number);
    last_line_ = numbered.number;
    const bool is_empty = line.at_end() || line.peek('#');
    if (is_empty || !started_ || line.take("const ")) {
      if (!graphs.empty() || line.peek('|')) no_node_before(graphs.empty() ? numbered : graphs.front());
      if (is_empty) return;
      started_ ? read_constant(line) : read_signature(line);
    } else {
      read_node(line, graphs);
    }
    if (!line.at_end()) line.fail("there is more on the line than expected");
  }

  [[noreturn]] static void no_node_before(const NumberedLine& line) {
    Line("", line.number).fail("there is no node before that a graph could belong to");
  }

  Graph finish() {
    const Line end("", last_line_);
    if (!started_) Line("", 1).fail("the text has no graph");
    std::vector<ValueId> outputs;
    for (const std::string& name : outputs_) {
      outputs.push_back(graph_.find(name));
      if (outputs.back() == none) end.fail("output " + name + " is not made by any node");
    }
    graph_.set_outputs(std::move(outputs));
    return std::move(graph_);
  }

  std::string new_name(Line& line) {
    std::string name = line.name();
    if (name.empty()) line.fail("a name is empty");
    if (graph_.find(name) != none) line.fail("the name " + name + " is taken already");
    return name;
  }

  void read_signature(Line& line) {
    line.expect("graph");
    line.expect("(");
    while (!line.take(")")) {
      if (!graph_.inputs().empty()) line.expect(",");
      std::string name = new_name(line);
      line.expect(":");
      const ValueType type = line.type();
      if (type.is_cache) line.fail("input " + name + " cannot be a cache");
      graph_.add_input(std::move(name), type);
    }
    line.expect("->");
    line.expect("(");
    while (!line.take(")")) {
      if (!outputs_.empty()) line.expect(",");
      outputs_.push_back(line.name());
    }
    started_ = true;
  }

  void read_constant(Line& line) {
    std::string name = new_name(line);
    line.expect(":");
    const ValueType type = line.type();
    line.expect("=");
    if (type.is_cache) line.fail("a constant cannot be a cache");
    Shape shape;
    for (const Dim& dim : type.shape) {
      const std::optional<int64_t> extent = dim.try_constant();
      if (!extent || *extent < 0 || *extent > int64_t{1} << 40) {
        line.fail("a constant's dimension cannot be " + dim.text());
      }
      shape.push_back(*extent);
    }
    try {
      element_count(shape);
    } catch (const Error& error) {
      line.fail(error.fault());
    }
    graph_.add_constant(std::move(name), constant(line, type, shape));
  }

  ConstantPtr constant(Line& line, const ValueType& type, const Shape& shape) {
    if (line.take("zeros")) return make_zero_constant(type.dtype, shape);
    if (line.take("random(")) {
      uint64_t seed = 0;
      float deviation = 0;
      const bool seeded = read_number(line.number().text, seed);
      line.expect(",");
      if (!seeded || !read_number(line.number().text, deviation)) line.fail("random takes a seed and a deviation");
      line.expect(")");
      if (type.dtype != DType::f32 && type.dtype != DType::bf16 && type.dtype != DType::f16) {
        line.fail("random constants are f32, bf16 or f16");
      }
      return make_random_constant(type.dtype, shape, seed, deviation);
    }
    if (line.take("@")) {
      const std::string_view digest = line.until(" ");
      if (!resolve_) return make_zero_constant(type.dtype, shape);
      ConstantPtr found = resolve_(digest, type);
      if (!found) line.fail("the constant @" + std::string(digest) + " is not known");
      if (found->dtype() != type.dtype || found->shape() != shape) {
        line.fail("the constant @" + std::string(digest) + " is not " + type.text());
      }
      return found;
    }
    return elements(line, type.dtype, shape);
  }

  ConstantPtr elements(Line& line, DType dtype, const Shape& shape) {
    line.expect("{");
    std::vector<std::string_view> texts;
    while (!line.take("}")) {
      if (!texts.empty()) line.expect(",");
      texts.push_back(line.number().text);
    }
    if (static_cast<int64_t>(texts.size()) != element_count(shape)) {
      line.fail("there are " + std::to_string(texts.size()) + " elements, not " + std::to_string(element_count(shape)));
    }
    Tensor tensor(dtype, shape);
    const auto fill = [&]<typename T>(T) {
      for (size_t i = 0; i < texts.size(); ++i) {
        if (!read_number(texts[i], tensor.as<T>()[i]))
          line.fail("'" + std::string(texts[i]) + "' is not a " + std::string(name_of(dtype)));
      }
    };
    switch (dtype) {
      case DType::f32: fill(float{}); break;
      case DType::f64: fill(double{}); break;
      case DType::i8: fill(int8_t{}); break;
      case DType::boolean:
      case DType::u8: fill(uint8_t{}); break;
      case DType::i16: fill(int16_t{}); break;
      case DType::u16: fill(uint16_t{}); break;
      case DType::i32: fill(int32_t{}); break;
      case DType::u32: fill(uint32_t{}); break;
      case DType::i64: fill(int64_t{}); break;
      case DType::u64: fill(uint64_t{}); break;
      case DType::f16:
      case DType::bf16: {
        std::vector<float> values(texts.size());
        for (size_t i = 0; i < texts.size(); ++i) {
          if (!read_number(texts[i], values[i])) line.fail("'" + std::string(texts[i]) + "' is not a number");
        }
        convert_from_float(values.data(), dtype, tensor.data(), values.size());
      }
    }
    return make_constant(std::move(tensor));
  }

  // The op's graphs: before each stands a line with its name.
  std::vector<std::shared_ptr<const Graph>> read_graphs(const Line& line, std::string_view op, Lines lines) const {
    std::vector<NumberedLine> inner;
    for (const NumberedLine& one : lines) {
      inner.push_back({one.text.substr(one.text.starts_with("| ") ? 2 : 1), one.number});
    }
    if (depth_ == 0) line.fail("there are too many graphs in graphs");
    std::vector<std::shared_ptr<const Graph>> graphs;
    size_t at = 0;
    for (const std::string_view name : body_names(op)) {
      const std::string head = std::string(name) + ":";
      if (at == inner.size() || inner[at].text != head) {
        Line("", at == inner.size() ? last_line_ : inner[at].number).fail("the line '" + head + "' is missing");
      }
      const size_t first = ++at;
      while (at < inner.size() && !is_head(op, inner[at].text)) ++at;
      graphs.push_back(std::make_shared<const Graph>(
          GraphParser(resolve_, depth_ - 1).parse(Lines(inner).subspan(first, at - first))));
    }
    if (at < inner.size()) Line("", inner[at].number).fail("the op has no such graph");
    return graphs;
  }
  static bool is_head(std::string_view op, std::string_view text) {
    const auto names = body_names(op);
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return text == std::string(name) + ":"; });
  }

  void read_node(Line& line, Lines graphs) {
    std::vector<std::pair<std::string, ValueType>> outputs;
    do {
      std::string name = new_name(line);
      for (const auto& [other, type] : outputs) {
        if (other == name) line.fail("the name " + name + " is taken already");
      }
      line.expect(":");
      ValueType type = line.type();
      outputs.emplace_back(std::move(name), std::move(type));
    } while (line.take(","));
    line.expect("=");
    const std::string op_name(line.until("( "));
    const bool has_graphs = !body_names(op_name).empty();
    if (!has_graphs && !graphs.empty()) Line("", graphs.front().number).fail("the op has no graph of its own");
    std::unique_ptr<Op> op = has_graphs ? make_op(op_name, read_graphs(line, op_name, graphs)) : make_op(op_name);
    if (!op) line.fail("there is no op '" + op_name + "' that a text can make");
    line.expect("(");
    std::vector<ValueId> inputs;
    while (!line.take(")")) {
      if (!inputs.empty()) line.expect(",");
      const bool plain = !line.peek('"');
      const std::string name = line.name();
      inputs.push_back(plain && name == "_" ? none : graph_.find(name));
      if (inputs.back() == none && !(plain && name == "_")) line.fail("nothing before this line makes " + name);
    }
    read_attributes(line, *op);
    std::string node_name = outputs.front().first;
    if (line.take("#")) node_name = line.name();
    add(line, node_name, std::move(op), std::move(inputs), outputs);
  }

  void read_attributes(Line& line, Op& op) {
    std::map<std::string, AttributeText> attributes;
    if (line.take("{")) {
      while (!line.take("}")) {
        if (!attributes.empty()) line.expect(",");
        std::string name = line.name();
        line.expect("=");
        if (!attributes.emplace(name, line.attribute()).second) line.fail("attribute " + name + " is given twice");
      }
    }
    Reader reader(line, std::move(attributes));
    op.attributes(reader);
    reader.finish(op.name());
  }

  void add(const Line& line, const std::string& node_name, std::unique_ptr<Op> op, std::vector<ValueId> inputs,
           const std::vector<std::pair<std::string, ValueType>>& outputs) {
    std::vector<ValueId> made;
    try {
      made = graph_.add_node(node_name, std::move(op), std::move(inputs));
    } catch (const Error& error) {
      if (error.thing() != node_name) throw;
      line.fail(error.fault());
    }
    if (made.size() != outputs.size()) line.fail("the op has " + std::to_string(made.size()) + " outputs");
    for (size_t i = 0; i < made.size(); ++i) {
      // The text names unknown extents as the graph did that it was printed from.
      ValueType stated = outputs[i].second;
      ValueType& type = graph_.values_[static_cast<size_t>(made[i])].type;
      stated.contents = type.contents;
      bool fits = stated.shape.size() == type.shape.size();
      for (size_t axis = 0; fits && axis < type.shape.size(); ++axis) {
        if (!type.shape[axis].is_unknown_symbol() || !stated.shape[axis].is_unknown_symbol()) continue;
        type.shape[axis] = stated.shape[axis];
        graph_.unknowns_.insert(stated.shape[axis].text());
      }
      if (type != stated) line.fail("the op makes " + type.text() + ", not " + stated.text());
    }
    // First out of the way of each other (a node's name may be that of a later output), then to their names.
    for (const ValueId id : made) graph_.rename(id, "\x01");
    for (size_t i = 0; i < made.size(); ++i) graph_.rename(made[i], outputs[i].first);
  }

  const ConstantResolver& resolve_;
  int depth_;
  Graph graph_;
  std::vector<std::string> outputs_;
  size_t last_line_ = 1;
  bool started_ = false;
};

Graph parse_graph(std::string_view text, const ConstantResolver& resolve) {
  constexpr int deepest = 16;
  std::vector<NumberedLine> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back({text.substr(0, end), lines.size() + 1});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return GraphParser(resolve, deepest).parse(lines);
}

}  // namespace incipit
