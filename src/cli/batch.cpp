#include "cli/batch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "jinja/jinja_template.h"
#include "openai/batch_request.h"
#include "openai/chat_variables.h"
#include "session/check_request.h"

namespace incipit::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto sync_interval = std::chrono::seconds(1);  // a power cut costs at most the answers of that time

std::string name_of_input(const std::filesystem::path& path) {
  return is_standard(path) ? "standard input" : path.string();
}
std::string name_of_output(const std::filesystem::path& path) {
  return is_standard(path) ? "standard output" : path.string();
}

constexpr std::string_view id_prefix = "batch_req_";

/// Calls visit(number from 1, text) for every line that ends, and returns the bytes of those.
template <typename Visit>
size_t for_each_whole_line(std::string_view text, Visit&& visit) {
  size_t begin = 0;
  for (int64_t number = 1;; ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return begin;
    visit(number, text.substr(begin, end - begin));
    begin = end + 1;
  }
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r") == std::string_view::npos; }

/// One line of the input.
struct Line {
  int64_t number = 0;
  std::string_view text;
  std::string id;     // of its answer: made of all that decides what the answer is
  uint64_t seed = 0;  // for draws without one of their own
  bool done = false;
};

/// The requests of a file.
class BatchInput {
 public:
  BatchInput(const std::filesystem::path& path, const Engine& engine) : name_(name_of_input(path)) {
    if (is_stream(path)) {
      read_ = read_text(path, most_read);
    } else {
      file_ = MappedFile::open(path);
    }
    const std::string_view text = file_ ? file_->text() : std::string_view(read_);
    const size_t whole =
        for_each_whole_line(text, [&](int64_t number, std::string_view line) { add(number, line, engine); });
    if (whole < text.size()) {
      add(lines_.empty() ? 1 : lines_.back().number + 1, text.substr(whole), engine);
    }
    if (lines_.empty()) throw Error(name_, "it has no requests", "give one JSON object a line");
    check_lines();
  }

  std::vector<Line>& lines() { return lines_; }

 private:
  void add(int64_t number, std::string_view text, const Engine& engine) {
    if (is_blank(text)) return;
    const std::string named = fmt::format("{} {} {}", engine.body_digest().hex(), number, text);
    const Digest digest = digest_of(std::as_bytes(std::span(named)));
    lines_.push_back({number, text, std::string(id_prefix) + digest.hex(), digest.low_bits(), false});
  }

  /// Single bad lines are answered as what they are when their turn comes.
  void check_lines() const {
    std::unordered_map<std::string, int64_t> seen;
    bool requests = false;
    std::string first_fault;
    for (const Line& line : lines_) {
      std::string id;
      try {
        const boost::json::value parsed = parse_json(line.text, "line");
        const boost::json::object* object = parsed.if_object();
        requests = requests || object != nullptr;
        if (&line == &lines_.front()) first_fault = fmt::format("is {}", kind_name(parsed));
        const boost::json::value* found = object == nullptr ? nullptr : object->if_contains("custom_id");
        if (found == nullptr || !found->is_string()) continue;
        id = std::string(found->get_string());
      } catch (const Error& error) {
        if (&line == &lines_.front()) first_fault = error.fault();
        continue;
      }
      const auto [first, fresh] = seen.emplace(std::move(id), line.number);
      if (fresh) continue;
      throw Error(name_,
                  fmt::format("lines {} and {} have the same custom_id '{}'", first->second, line.number, first->first),
                  "give each request its own");
    }
    if (!requests) {
      throw Error(name_,
                  fmt::format("is no file of requests: none of its {} lines is a JSON object (line {}: {})",
                              lines_.size(), lines_.empty() ? 1 : lines_.front().number, first_fault),
                  "give one a line, in the OpenAI API's batch format");
    }
  }

  static constexpr size_t most_read = size_t{1} << 40;

  std::string name_;
  std::shared_ptr<const MappedFile> file_;  // null: read_ holds the text
  std::string read_;
  std::vector<Line> lines_;
};

/// The answers so far, and those to come.
class BatchOutput {
 public:
  explicit BatchOutput(const std::filesystem::path& path) : name_(name_of_output(path)), path_(path) {
    if (is_standard(path)) {
      descriptor_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
      if (descriptor_ < 0) throw fault("check where it goes");
      return;
    }
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw fault("check its permissions, or choose another --out");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      close();
      throw Error(name_, "another run is writing to it", "wait for that one, or choose another --out");
    }
  }
  ~BatchOutput() { close(); }
  BatchOutput(const BatchOutput&) = delete;
  BatchOutput& operator=(const BatchOutput&) = delete;

  /// What an earlier run has left.
  struct Before {
    int64_t lines = 0, answered = 0;  // those that were not refused and did not fail
  };
  /// Marks the lines that are answered, and cuts off an answer that is not whole.
  Before resume(std::vector<Line>& lines) {
    Before before;
    if (is_standard(path_)) return before;
    const std::shared_ptr<const MappedFile> file = MappedFile::open(path_);
    if (file->text().empty()) return before;
    std::unordered_map<std::string_view, Line*> by_id;
    for (Line& line : lines) by_id.emplace(line.id, &line);
    const size_t whole = for_each_whole_line(file->text(), [&](int64_t number, std::string_view text) {
      const Kept kept = read_kept(text);
      if (!kept.id.starts_with(id_prefix)) throw foreign(number);
      ++before.lines;
      before.answered += kept.answered ? 1 : 0;
      const auto found = by_id.find(kept.id);
      if (found == by_id.end() || std::exchange(found->second->done, true)) {
        throw Error(
            name_,
            fmt::format("line {} answers no request of this input by this engine: one of them has changed", number),
            "give another --out, or remove the file");
      }
    });
    const std::string_view torn = file->text().substr(whole);
    if (torn.empty()) return before;
    if (std::ranges::none_of(lines, [&](const Line& line) { return may_begin(torn, line); })) {
      throw foreign(std::ranges::count(file->text(), '\n') + 1);
    }
    if (::ftruncate(descriptor_, static_cast<off_t>(whole)) != 0) throw fault("check the disk");
    return before;
  }

  void append(std::string line) {
    line += '\n';
    for (std::string_view rest = line; !rest.empty();) {
      const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
      if (count >= 0) {
        rest.remove_prefix(static_cast<size_t>(count));
      } else if (errno == EPIPE) {
        throw ReaderGone(name_, "nobody reads it");
      } else if (errno != EINTR) {
        throw fault("make room, and run it again to go on");
      }
    }
    if (const auto now = Clock::now(); now - synced_ >= sync_interval) sync(now);
  }
  void finish() { sync(Clock::now()); }

 private:
  Error fault(std::string_view remedy) const { return Error(name_, stream_fault("written"), remedy); }
  Error foreign(int64_t number) const {
    return Error(name_, fmt::format("exists and holds no answers of ours: line {} is none", number),
                 "choose another --out, or remove it first");
  }

  /// A line that is there already; without an id where it is none of ours.
  struct Kept {
    std::string id;
    bool answered = false;
  };
  static Kept read_kept(std::string_view text) {
    Kept kept;
    try {
      const boost::json::value parsed = parse_json(text, "line");
      const auto member = [](const boost::json::value* value, std::string_view name) {
        const boost::json::object* object = value == nullptr ? nullptr : value->if_object();
        return object == nullptr ? nullptr : object->if_contains(name);
      };
      const boost::json::value* const id = member(&parsed, "id");
      if (id != nullptr && id->is_string()) kept.id = std::string(id->get_string());
      const boost::json::value* const status = member(member(&parsed, "response"), "status_code");
      kept.answered = status != nullptr && *status == 200;
    } catch (const Error&) {
      return {};
    }
    return kept;
  }

  /// Whether a text without an end can be what was written of the answer to `line`.
  static bool may_begin(std::string_view torn, const Line& line) {
    const std::string beginning = beginning_of_answer(line.id);
    const size_t shorter = std::min(torn.size(), beginning.size());
    return torn.substr(0, shorter) == std::string_view(beginning).substr(0, shorter);
  }

  void sync(Clock::time_point now) {
    if (!is_standard(path_) && ::fdatasync(descriptor_) != 0) throw fault("check the disk");
    synced_ = now;
  }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

  std::string name_;
  std::filesystem::path path_;
  int descriptor_ = -1;
  Clock::time_point synced_ = Clock::now();
};

/// A request that was submitted. Its result is the engine's thread's until it is among the finished.
struct Running {
  Line* line = nullptr;
  BatchLine parsed;
  std::string model;
  RequestBody body = {};
  BatchResult result = {};
};

/// Where the engine's thread leaves requests that have ended.
class Finished {
 public:
  void add(std::shared_ptr<Running> one) {
    {
      const std::lock_guard lock(mutex_);
      finished_.push_back(std::move(one));
    }
    changed_.notify_one();
  }
  /// Waits for some, but not for long.
  std::vector<std::shared_ptr<Running>> take() {
    constexpr auto patience = std::chrono::milliseconds(50);  // between looks for Ctrl-C
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return !finished_.empty(); });
    return std::exchange(finished_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Running>> finished_;
};

class BatchRun {
 public:
  BatchRun(Gateway& gateway, BatchInput& input, BatchOutput& output, Progress& progress)
      : gateway_(gateway), input_(input), output_(output), progress_(progress) {
    const Engine& engine = gateway.engine();
    if (!engine.chat_template().empty()) {
      chat_.emplace(engine.chat_template(), engine.path().string() + ": chat template");
      chat_variables_ = chat_variables(engine);
    }
    model_ = engine.path().stem().string();
    // Enough that a slot never waits for its next request.
    most_running_ = static_cast<size_t>(gateway.limits().slots) * 2;
  }

  /// False when interrupted.
  bool run() {
    const std::vector<Line>& lines = input_.lines();
    progress_.stage("batch", std::ranges::count(lines, false, &Line::done), "requests");
    for (size_t next = 0; next < lines.size() || running_ > 0;) {
      while (next < lines.size() && running_ < most_running_) {
        if (Line& line = input_.lines()[next++]; !line.done) submit(line);
      }
      if (running_ > 0) write_finished();
      progress_.advance(0);
      if (interrupted()) return false;
    }
    output_.finish();
    progress_.finish();
    return true;
  }

  int64_t answered() const { return answered_; }
  int64_t failed() const { return failed_; }  // of those that were answered
  int64_t refused() const { return refused_; }
  int64_t tokens() const { return tokens_; }

 private:
  void submit(Line& line) {
    std::optional<std::string> custom_id;
    try {
      boost::json::value parsed;
      try {
        parsed = parse_json(line.text, fmt::format("line {}", line.number), LargeIntegers::kept);
      } catch (const Error& error) {
        throw BadRequest("", error.what());
      }
      if (const auto* object = parsed.if_object(); object != nullptr && object->contains("custom_id")) {
        if (const auto* id = object->at("custom_id").if_string()) custom_id = std::string(*id);
      }
      Running running{&line, parse_batch_line(parsed), model_};
      const BodyContext context{gateway_.default_sampling(), gateway_.tokenizer(), chat_ ? &*chat_ : nullptr,
                                &chat_variables_, line.seed};
      running.body = parse_batch_body(parsed, running.parsed, context);
      if (!running.body.model.empty()) running.model = running.body.model;
      start(std::move(running));
    } catch (const BadRequest& fault) {
      refuse(line, custom_id, fault);
    }
  }

  void start(Running running) {
    const bool chat = running.body.chat;
    try {
      const auto one = std::make_shared<Running>(std::move(running));
      gateway_.submit(one->body.request_of(0), [one, finished = finished_](const TokenEvent& event) {
        ChoiceOutput& output = one->result.output;
        output.text += event.text;
        if (event.token.id >= 0 && (one->body.logprobs || one->body.return_token_ids)) {
          output.tokens.push_back(event.token);
        }
        one->result.usage = {event.prompt_tokens, event.cached_tokens, event.new_tokens};
        one->result.failure = event.failure;
        output.finish = event.finish;
        if (event.finish != FinishReason::none) finished->add(one);
      });
      ++running_;
    } catch (const UnfitRequest& unfit) {  // longer than the context, an id outside the vocabulary …
      throw bad_request_of(unfit, chat);
    } catch (const Error& error) {
      throw BadRequest("", error.what());
    }
  }

  void refuse(Line& line, const std::optional<std::string>& custom_id, const BadRequest& fault) {
    output_.append(refusal_line(line.id, custom_id, fault));
    ++refused_;
    progress_.advance(1);
  }

  void write_finished() {
    const std::vector<std::shared_ptr<Running>> finished = finished_->take();
    gateway_.check();  // no answer is kept of an engine that is not to be trusted
    for (const std::shared_ptr<Running>& one : finished) {
      --running_;
      output_.append(answer_line(one->line->id, one->parsed, one->body, gateway_.tokenizer(), one->model,
                                 std::time(nullptr), one->result));
      ++answered_;
      failed_ += one->result.output.finish == FinishReason::failed ? 1 : 0;
      tokens_ += one->result.usage.new_tokens;
      progress_.advance(1);
    }
  }

  Gateway& gateway_;
  BatchInput& input_;
  BatchOutput& output_;
  Progress& progress_;
  std::optional<JinjaTemplate> chat_;
  boost::json::object chat_variables_;
  std::string model_;
  size_t most_running_ = 0, running_ = 0;
  std::shared_ptr<Finished> finished_ = std::make_shared<Finished>();  // listeners may outlive this
  int64_t answered_ = 0, failed_ = 0, refused_ = 0, tokens_ = 0;
};

}  // namespace

int run_batch(Gateway& gateway, const BatchFiles& files) {
  if (!is_standard(files.output)) {
    check_output({files.output, "--out", "file of answers"}, {files.input, gateway.engine().path()});
  }
  BatchInput input(files.input, gateway.engine());
  BatchOutput output(files.output);
  const BatchOutput::Before kept = output.resume(input.lines());
  Progress progress;
  BatchRun run(gateway, input, output, progress);
  const auto start = Clock::now();
  const bool whole = run.run();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const int64_t done = run.answered() + run.refused();
  tell(fmt::format("{}: {} answered, {} refused{}; {:.1f} tokens/s{}", name_of_output(files.output), run.answered(),
                   run.refused(), kept.lines > 0 ? fmt::format(", {} were there before", kept.lines) : "",
                   static_cast<double>(run.tokens()) / std::max(seconds, 1e-9),
                   whole ? ""
                         : fmt::format("; interrupted, {} are left: run it again to go on",
                                       static_cast<int64_t>(input.lines().size()) - kept.lines - done)));
  if (!whole) return exit_interrupted();
  if (kept.answered + run.answered() - run.failed() == 0) {
    throw Error(name_of_output(files.output), "every request was refused, or failed", "it says of each why");
  }
  return 0;
}

}  // namespace incipit::cli
