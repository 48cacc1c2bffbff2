// Prints docs/errors.md: every error that the sources can raise, with its remedy, read from the code itself.
//
//   list_errors SOURCE_DIRECTORY
//
// Not a C++ parser: it finds calls that raise an Error, splits their arguments at top-level commas and keeps the string
// literals; whatever is computed at run time is shown as "…". A named constant of the same file counts as its literal.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view computed = "…";

struct Section {
  std::string_view directory, title;
};

// In the order in which a user meets them.
constexpr Section sections[] = {
    {"cli", "Commands and options"},
    {"import", "Reading a model"},
    {"text", "Tokenizers, templates and text"},
    {"graph", "Graphs"},
    {"primitives", "Operators"},
    {"passes", "Passes"},
    {"quant", "Weight formats"},
    {"kernels", "Kernels"},
    {"tune", "Tuning"},
    {"compile", "Compiling"},
    {"engine", "Engine files"},
    {"runtime", "Loading and running an engine"},
    {"session", "Requests"},
    {"base", "Files and machine"},
};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Blanks out comments, so that positions stay.
std::string without_comments(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"' || text[i] == '\'') {
      // A digit separator is no character literal.
      if (text[i] == '\'' && i > 0 && std::isxdigit(static_cast<unsigned char>(text[i - 1])) != 0) continue;
      const char quote = text[i];
      for (++i; i < text.size() && text[i] != quote; ++i) i += text[i] == '\\';
    } else if (text.compare(i, 2, "//") == 0) {
      for (; i < text.size() && text[i] != '\n'; ++i) text[i] = ' ';
    }
  }
  return text;
}

/// The end of the literal that starts at `at` (one past the closing quote).
size_t literal_end(std::string_view text, size_t at) {
  const char quote = text[at];
  size_t i = at + 1;
  for (; i < text.size() && text[i] != quote; ++i) i += text[i] == '\\';
  return i + 1;
}

/// Arguments of the call whose '(' or '{' is at `open`.
std::vector<std::string> arguments(std::string_view text, size_t open) {
  std::vector<std::string> found(1);
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      const size_t end = literal_end(text, i);
      found.back() += text.substr(i, end - i);
      i = end - 1;
      continue;
    }
    if (c == '(' || c == '{' || c == '[') {
      if (depth++ == 0) continue;
    }
    if (c == ')' || c == '}' || c == ']') {
      if (--depth == 0) break;
    }
    if (c == ',' && depth == 1) {
      found.emplace_back();
    } else {
      found.back() += c;
    }
  }
  return found;
}

std::string unescaped(std::string_view literal) {
  std::string text;
  for (size_t i = 1; i + 1 < literal.size(); ++i) {
    if (literal[i] == '\\' && i + 2 < literal.size()) {
      ++i;
      text += literal[i] == 'n' ? ' ' : literal[i];
    } else {
      text += literal[i];
    }
  }
  return text;
}

/// Format fields become "…".
std::string without_fields(std::string_view format) {
  std::string text;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format.compare(i, 2, "{{") == 0 || format.compare(i, 2, "}}") == 0) {
      text += format[i++];
    } else if (format[i] == '{') {
      i = std::min(format.find('}', i), format.size() - 1);
      text += computed;
    } else {
      text += format[i];
    }
  }
  return text;
}

using Constants = std::map<std::string, std::string, std::less<>>;

/// What an expression that makes a string looks like to a reader.
std::string shown(std::string expression, const Constants& constants) {
  const size_t begin = expression.find_first_not_of(" \n\t");
  if (begin == std::string::npos) return {};
  expression = expression.substr(begin, expression.find_last_not_of(" \n\t") - begin + 1);
  if (const auto named = constants.find(expression); named != constants.end()) return named->second;
  for (std::string_view call : {"fmt::format(", "fmt::runtime("}) {
    if (expression.starts_with(call))
      return without_fields(shown(arguments(expression, call.size() - 1)[0], constants));
  }
  std::string text;
  bool gap = false;  // something computed since the last literal
  int depth = 0;
  for (size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '"' && depth == 0) {
      const size_t end = literal_end(expression, i);
      if (gap && !text.ends_with(computed)) text += computed;
      gap = false;
      text += unescaped(std::string_view(expression).substr(i, end - i));
      i = end - 1;
    } else if (c == '\'' || c == '"') {
      i = literal_end(expression, i) - 1;
      gap = true;
    } else if (c == '?' && depth == 0) {
      text.clear();  // the two literals of a choice
      gap = false;
    } else if (c == ':' && depth == 0 && (i == 0 || expression[i - 1] != ':') && expression[i + 1] != ':') {
      text += " / ";
      gap = false;
    } else {
      depth += c == '(' || c == '{' || c == '[';
      depth -= c == ')' || c == '}' || c == ']';
      if (is_word(c)) gap = true;
    }
  }
  if (gap && !text.ends_with(computed)) text += computed;
  return text;
}

Constants constants_of(std::string_view text) {
  Constants found;
  for (std::string_view mark : {"constexpr std::string_view ", "constexpr const char* "}) {
    for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + 1)) {
      const size_t name = at + mark.size();
      size_t end = name;
      while (end < text.size() && is_word(text[end])) ++end;
      const size_t quote = text.find_first_not_of(" =\n", end);
      const size_t stop = text.find(';', quote == text.npos ? end : quote);
      if (quote == text.npos || stop == text.npos || text[quote] != '"') continue;
      found[std::string(text.substr(name, end - name))] = shown(std::string(text.substr(quote, stop - quote)), {});
    }
  }
  return found;
}

/// The remedy that a file's own helpers give where none is named: the one literal in a definition of `fail` and its
/// like.
std::string usual_remedy(std::string_view text) {
  const Constants constants = constants_of(text);
  std::set<std::string> found;
  for (std::string_view name : {"fail(", "refuse(", "require("}) {
    for (size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
      const size_t line = text.rfind('\n', at) + 1;
      if (text.substr(line, at - line).find("void ") == std::string_view::npos) continue;
      const size_t body = text.find_first_of("{;", at), raised = text.find("throw Error(", at);
      if (body == text.npos || text[body] == ';' || raised == text.npos) continue;
      if (text.substr(body, raised - body).find("\n}") != std::string_view::npos) continue;
      const std::vector<std::string> given = arguments(text, raised + std::string_view("throw Error").size());
      if (given.size() < 3) continue;
      std::string remedy = shown(given[2], constants);
      for (const auto& [constant, value] : constants) {
        if (given[2].find(constant + " :") != std::string::npos) remedy = value;
      }
      if (remedy.find(computed) == std::string::npos) found.insert(without_fields(remedy));
    }
  }
  return found.size() == 1 ? *found.begin() : std::string();
}

struct Row {
  std::string fault, remedy;
  auto operator<=>(const Row&) const = default;
};

/// Errors raised in one file. Helpers named like `fail` take the fault first and the remedy after it.
void collect(std::string_view text, std::string_view usual, std::set<Row>& rows) {
  struct Raise {
    std::string_view name;
    size_t fault;
  };
  constexpr Raise raises[] = {{"Error", 1}, {"fail", 0}, {"refuse", 0}, {"require", 1}};
  const Constants constants = constants_of(text);
  for (const Raise& raise : raises) {
    for (size_t at = text.find(raise.name); at != text.npos; at = text.find(raise.name, at + 1)) {
      const size_t open = at + raise.name.size();
      if (open >= text.size() || (text[open] != '(' && text[open] != '{')) continue;
      if (at > 0 && is_word(text[at - 1])) continue;
      const std::vector<std::string> given = arguments(text, open);
      if (given.size() <= raise.fault) continue;
      Row row{shown(given[raise.fault], constants), {}};
      if (given.size() > raise.fault + 1) row.remedy = without_fields(shown(given[raise.fault + 1], constants));
      row.fault = without_fields(row.fault);
      // Something must be left to read: declarations and forwarded texts have no literal.
      if (row.fault.find_first_not_of(" /…") == std::string::npos) continue;
      if (row.remedy.find_first_not_of(" /…") == std::string::npos) row.remedy = raise.name == "Error" ? "" : usual;
      rows.insert(std::move(row));
    }
  }
}

std::string cell(std::string text) {
  for (size_t at = text.find('|'); at != text.npos; at = text.find('|', at + 2)) text.replace(at, 1, "\\|");
  return text;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::cerr << "usage: list_errors SOURCE_DIRECTORY\n";
    return 2;
  }
  const std::filesystem::path root = words[1];
  std::cout
      << "# Errors\n\n"
         "Every error is one line, `THING: FAULT; REMEDY`, on standard error with exit status 1: THING is the file, "
         "option or\n"
         "tensor that is bad. Below are the faults that incipit can name and the remedy it gives with each; `…` stands "
         "for what\n"
         "depends on the case. A fault without a remedy says all that is known about the thing: mend or replace it.\n\n"
         "This page is made from the sources by `./dev docs`; a test compares the two.\n";
  for (const Section& section : sections) {
    std::set<Row> rows;
    std::vector<std::filesystem::path> files;
    if (!std::filesystem::is_directory(root / section.directory)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / section.directory)) {
      if (entry.path().extension() == ".cpp" || entry.path().extension() == ".h") files.push_back(entry.path());
    }
    std::map<std::filesystem::path, std::string> texts;
    std::map<std::filesystem::path, std::set<std::string>> remedies;  // of each directory's helpers
    for (const std::filesystem::path& file : files) {
      std::ifstream stream(file);
      texts[file] = without_comments({std::istreambuf_iterator<char>(stream), {}});
      if (std::string usual = usual_remedy(texts[file]); !usual.empty()) remedies[file.parent_path()].insert(usual);
    }
    for (const auto& [file, text] : texts) {
      std::string usual = usual_remedy(text);
      for (const auto& [header, helper] : texts) {  // a base class's
        const std::string include = "#include \"" + std::filesystem::relative(header, root).string() + '"';
        if (usual.empty() && text.find(include) != text.npos) usual = usual_remedy(helper);
      }
      const std::set<std::string>& around = remedies[file.parent_path()];
      if (usual.empty() && around.size() == 1) usual = *around.begin();
      collect(text, usual, rows);
    }
    if (rows.empty()) continue;
    std::cout << "\n## " << section.title << "\n\n| fault | remedy |\n|---|---|\n";
    for (const Row& row : rows) std::cout << "| " << cell(row.fault) << " | " << cell(row.remedy) << " |\n";
  }
}
