#include "cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/cpu.h"
#include "cli/options.h"

namespace incipit::cli {
namespace {

/// The whole text as a number; nothing where it is none or T does not hold it.
template <typename T>
std::optional<T> number_of(const std::string& text) {
  T value{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last) return std::nullopt;
  return value;
}

}  // namespace

template <std::integral T>
CLI::Validator integer_in(T least, T most) {
  const std::string range = fmt::format("{} to {}", least, most);
  const auto read = [=](std::string& text) -> std::string {
    const std::optional<T> value = number_of<T>(text);
    if (!value || *value < least || *value > most) return fmt::format("'{}' is not an integer from {}", text, range);
    text = std::to_string(*value);  // CLI11 reads a leading 0 as octal
    return {};
  };
  return {read, range};
}
template CLI::Validator integer_in(int32_t, int32_t);
template CLI::Validator integer_in(uint64_t, uint64_t);

CLI::Validator number_in(double least, double most, const std::string& range) {
  const auto read = [=](const std::string& text) -> std::string {
    const std::optional<double> value = number_of<double>(text);
    if (value && *value >= least && *value <= most) return {};  // NaN is neither
    return fmt::format("'{}' is not a number from {}", text, range);
  };
  return {read, range};
}

CLI::Option* add_threads(CLI::App& command, int& threads, const std::string& description) {
  const int32_t most = std::max(4, 2 * available_cores());
  return command.add_option("--threads", threads, description)->transform(integer_in(0, most));
}

void add_config(CLI::App& command) {
  const auto read = [&command](const std::string& file) {
    std::vector<CLI::ConfigItem> items;
    if (std::filesystem::is_directory(file))
      throw CLI::ValidationError("--config", file + ": is a directory; give a file");
    try {
      items = CLI::ConfigTOML().from_file(file);
    } catch (const CLI::Error& error) {
      throw CLI::ValidationError("--config", error.what());
    }
    for (const CLI::ConfigItem& item : items) {
      if (item.name == "++" || item.name == "--") continue;  // CLI11's marks of a section
      const auto refuse = [&](const std::string& fault) {
        throw CLI::ValidationError("--config", fmt::format("{}: '{}' {}", file, item.fullname(), fault));
      };
      if (!item.parents.empty() && item.parents != std::vector{command.get_name()}) refuse("is in an unknown section");
      std::string positional = item.name;
      std::ranges::transform(positional, positional.begin(), [](unsigned char c) { return std::toupper(c); });
      CLI::Option* option = command.get_option_no_throw("--" + item.name);
      if (option == nullptr) option = command.get_option_no_throw(positional);
      if (option == nullptr || item.name == "config" || item.name == "help") refuse("is no option of the command");
      if (option->count() == 0) option->add_result(item.inputs);
    }
  };
  command.add_option_function<std::string>("--config", read, "A file of options: name = value, a line each");
}

CLI::Option* add_input(CLI::App& command, const std::string& name, std::filesystem::path& path,
                       const std::string& description) {
  return command.add_option(name, path, description)->check([](const std::string& given) -> std::string {
    if (!is_standard_output(given)) return {};
    return fmt::format("'{}' is the file that standard output is written to: send that elsewhere", given);
  });
}

CLI::Option* add_text(CLI::App& command, const std::string& name, std::optional<std::string>& text,
                      const std::string& description) {
  return command.add_option_function<std::string>(
      name, [&text](const std::string& given) { text = given; }, description);
}

}  // namespace incipit::cli
