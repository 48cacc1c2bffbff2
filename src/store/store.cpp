#include "store/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "engine/engine.h"

namespace incipit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view marker_name = "store.json", objects_name = "objects", lock_name = ".lock";
constexpr std::string_view state_name = "state.json", audit_name = "audit.jsonl", engine_ending = ".engine";
constexpr int64_t store_format = 1;

[[noreturn]] void cannot(std::string_view act, const fs::path& path, int code) {
  throw Error(path.string(), fmt::format("cannot {}: {}", act, std::generic_category().message(code)),
              "check permissions and the space left");
}

void make_directory(const fs::path& path) {
  std::error_code fault;
  fs::create_directories(path, fault);
  if (fault) cannot("make this directory", path, fault.value());
}

void write_whole(const fs::path& path, const boost::json::value& value) {
  AtomicFile file(path);
  file.write(boost::json::serialize(value) + "\n");
  file.commit();
}

/// A name that is a folder's, part of "name@version", and none of the store's own.
void check_model_name(const std::string& model) {
  constexpr size_t longest = 128;
  const bool plain = !model.empty() && model.size() <= longest && model != objects_name && model.front() != '.' &&
                     model != marker_name && !model.ends_with(".sock") && std::ranges::all_of(model, [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                              c == '-' || c == '_';
                     });
  if (!plain) {
    throw Error(
        fmt::format("'{}'", model), "is no name for a model",
        "take up to 128 letters, digits, '-', '_' and '.', no '.' in front, and no name of the store's own files");
  }
}

struct AuditText {
  std::string text;
  size_t whole = 0;  // bytes of whole lines
};

AuditText read_audit(const fs::path& path) {
  AuditText audit;
  std::error_code missing;
  if (!fs::exists(path, missing)) return audit;
  audit.text = read_text_file(path);
  audit.whole = audit.text.rfind('\n') + 1;  // npos: none
  return audit;
}

std::vector<AuditRecord> records_of(const AuditText& audit, const fs::path& path) {
  std::vector<AuditRecord> records;
  for (size_t begin = 0; begin < audit.whole;) {
    const size_t end = audit.text.find('\n', begin);
    const std::string thing = fmt::format("{}: line {}", path.string(), records.size() + 1);
    records.push_back(
        audit_record_from(parse_json(std::string_view(audit.text).substr(begin, end - begin), thing), thing));
    begin = end + 1;
  }
  return records;
}

/// Appends a line; what a killed writer has left of one goes first.
void append_line(const fs::path& path, size_t whole, const std::string& line) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) cannot("write", path, errno);
  bool good = ::ftruncate(file, static_cast<off_t>(whole)) == 0;
  size_t done = 0;
  while (good && done < line.size()) {
    const ssize_t count = ::pwrite(file, line.data() + done, line.size() - done, static_cast<off_t>(whole + done));
    good = count >= 0 || errno == EINTR;
    if (count > 0) done += static_cast<size_t>(count);
  }
  good = good && ::fdatasync(file) == 0;
  const int code = errno;
  ::close(file);
  if (!good) cannot("write", path, code);
}

/// What people write must not look like lines of ours.
void put_on_one_line(std::string& text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
}

}  // namespace

/// Held by whoever changes the store. The system frees it when its holder dies.
class Store::Lock {
 public:
  explicit Lock(const fs::path& store) {
    constexpr std::chrono::milliseconds longest(10'000), pause(5);
    const fs::path path = store / lock_name;
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) cannot("lock the store by", path, errno);
    const auto begun = std::chrono::steady_clock::now();
    while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const bool over = std::chrono::steady_clock::now() - begun > longest || interrupted();
      if ((errno == EWOULDBLOCK || errno == EINTR) && !over) {
        std::this_thread::sleep_for(pause);
        continue;
      }
      const int code = errno;
      ::close(descriptor_);
      if (code != EWOULDBLOCK && code != EINTR) cannot("lock the store by", path, code);
      check_interrupt();
      throw Error(store.string(), "is being changed by another program", "try again when that is done");
    }
  }
  ~Lock() { ::close(descriptor_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int descriptor_ = -1;
};

Store Store::open(const fs::path& path) {
  std::error_code missing;
  const fs::path marker = path / marker_name;
  if (!fs::exists(marker, missing)) {
    throw Error(path.string(), "is no store of engines", "make one with incipit store add");
  }
  const boost::json::value value = parse_json(read_text_file(marker), marker.string());
  const boost::json::value* format = value.is_object() ? value.get_object().if_contains("format") : nullptr;
  if (format == nullptr || *format != store_format) {
    throw Error(marker.string(), fmt::format("is not of format {}", store_format),
                "use the incipit that made the store");
  }
  return Store(path);
}

Store Store::open_or_create(const fs::path& path) {
  std::error_code missing;
  if (fs::exists(path / marker_name, missing)) return open(path);
  const bool other = fs::exists(path, missing) && (!fs::is_directory(path, missing) || !fs::is_empty(path, missing));
  // What a killed program has made of one is an empty store.
  const bool begun = fs::is_directory(path / objects_name, missing);
  if (other && !begun) {
    throw Error(path.string(), "is no store of engines and not empty", "name a new or an empty directory");
  }
  make_directory(path / objects_name);
  write_whole(path / marker_name, boost::json::object{{"format", store_format}});
  return Store(path);
}

// ---- reading

/// Also those whose state is lost or cannot be looked at: what is theirs is not to be taken for nobody's.
std::vector<std::string> Store::models() const {
  std::vector<std::string> names;
  std::error_code fault;
  for (fs::directory_iterator at(path_, fault), end; !fault && at != end; at.increment(fault)) {
    const std::string name = at->path().filename().string();
    std::error_code unseen;
    if (name == objects_name || name.front() == '.' || !fs::is_directory(at->path(), unseen)) continue;
    const bool has_state = fs::exists(at->path() / state_name, unseen);
    if (has_state || unseen || fs::exists(at->path() / audit_name, unseen)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

ModelVersions Store::read(const std::string& model) const {
  check_model_name(model);
  const fs::path state = model_path(model) / state_name;
  std::error_code missing;
  if (!fs::exists(state, missing) && !missing) {
    if (fs::exists(model_path(model) / audit_name, missing)) {
      throw Error(state.string(), "is not there, and its audit is", "restore it from a copy");
    }
    throw Error(fmt::format("'{}'", model), fmt::format("is no model of the store {}", path_.string()),
                "see incipit store list");
  }
  return ModelVersions::from_json(parse_json(read_text_file(state), state.string()), state.string());
}

std::vector<AuditRecord> Store::history(const std::string& model) const {
  const fs::path audit = model_path(model) / audit_name;
  // The state first: the line of its last change may not have been written yet.
  const ModelVersions now = read(model);
  std::vector<AuditRecord> records = records_of(read_audit(audit), audit);
  if (now.records() > 0 && (records.empty() || records.back().number < now.records())) records.push_back(now.last());
  return records;
}

uint64_t Store::stamp(const std::string& model) const {
  struct stat status {};
  if (::stat((model_path(model) / state_name).c_str(), &status) != 0) return 0;
  uint64_t stamp = 1;
  for (const auto part : {static_cast<uint64_t>(status.st_ino), static_cast<uint64_t>(status.st_mtim.tv_sec),
                          static_cast<uint64_t>(status.st_mtim.tv_nsec), static_cast<uint64_t>(status.st_size)}) {
    stamp = stamp * 0x9e3779b97f4a7c15u + part;
  }
  return stamp;
}

fs::path Store::object_path(std::string_view digest) const {
  return path_ / objects_name / fmt::format("{}{}", digest, engine_ending);
}

fs::path Store::engine_of(const StoredVersion& version) const { return object_path(version.digest); }

void Store::check_file(const std::string& model, int64_t version) const {
  const ModelVersions now = read(model);
  Engine::OpenOptions any_machine;
  any_machine.check_target = false;
  Engine::open(engine_of(now.require(version)), any_machine);
}

// ---- changing

/// The line of the last change, where the program that made it was killed in between.
void Store::finish_audit(const std::string& model, const ModelVersions& now) const {
  const fs::path path = model_path(model) / audit_name;
  const AuditText audit = read_audit(path);
  const std::vector<AuditRecord> records = records_of(audit, path);
  const int64_t told = records.empty() ? 0 : records.back().number;
  if (told == now.records()) return;
  // Whoever has altered it does not keep a model from a rollback.
  if (told != now.records() - 1) {
    log_warning("{}: ends with record {}, and goes on with {}; restore it from a copy", path.string(), told,
                now.records());
  }
  append_line(path, audit.whole, boost::json::serialize(to_json(now.last())) + "\n");
}

AuditRecord Store::keep(const std::string& model, std::string_view actor, const Rule& rule) const {
  std::error_code missing;
  const bool is_new = !fs::exists(model_path(model) / state_name, missing) && !missing &&
                      !fs::exists(model_path(model) / audit_name, missing);
  ModelVersions now = is_new ? ModelVersions() : read(model);
  finish_audit(model, now);
  AuditRecord record = rule(now);
  if (record.changes.empty()) return record;
  record.number = now.records() + 1;
  record.unix_time = std::time(nullptr);
  record.actor = actor;
  for (std::string* text : {&record.actor, &record.reason, &record.tag}) put_on_one_line(*text);
  now.apply(record);
  link(model, record);
  write_whole(model_path(model) / state_name, now.to_json());
  finish_audit(model, now);
  return record;
}

/// Names of versions that are new; those that go lose theirs.
void Store::link(const std::string& model, const AuditRecord& record) const {
  for (const AuditRecord::Change& change : record.changes) {
    const fs::path name = model_path(model) / fmt::format("{}{}", change.version, engine_ending);
    const bool goes = change.to == VersionState::removed;
    if (!change.from.empty() && !goes) continue;
    std::error_code fault;
    fs::remove(name, fault);  // what a killed program has left is in the way
    if (goes) continue;
    fs::create_symlink(fs::path("..") / objects_name / fmt::format("{}{}", change.digest, engine_ending), name, fault);
    if (fault) cannot("make the link", name, fault.value());
  }
}

AuditRecord Store::change(const std::string& model, std::string_view actor, const Rule& rule) const {
  read(model);  // throws for an unknown one
  const Lock lock(path_);
  return keep(model, actor, rule);
}

AuditRecord Store::add(const std::string& model, const fs::path& engine, std::string_view tag,
                       std::string_view actor) const {
  check_model_name(model);
  Engine::OpenOptions any_machine;
  any_machine.check_target = false;  // who adds judges that
  const std::shared_ptr<const Engine> source = Engine::open(engine, any_machine);
  const std::string digest = source->body_digest().hex();
  const auto rule = [&](const ModelVersions& now) { return now.add(digest, tag); };
  std::error_code missing;
  const bool mends = fs::exists(object_path(digest), missing) && !is_sound(object_path(digest));
  if (!mends && fs::exists(model_path(model) / state_name, missing)) rule(read(model));  // refused before the copying

  // Without the lock: a rollback must not wait for gigabytes.
  constexpr size_t portion = size_t{16} << 20;
  const std::shared_ptr<const MappedFile> bytes = MappedFile::open(engine);
  AtomicFile copy(object_path(digest));
  Progress progress;
  progress.stage("copying", static_cast<int64_t>(bytes->bytes().size()), "B");
  for (size_t begin = 0; begin < bytes->bytes().size(); begin += portion) {
    check_interrupt();
    const size_t count = std::min(portion, bytes->bytes().size() - begin);
    copy.write(bytes->bytes().subspan(begin, count));
    progress.advance(static_cast<int64_t>(count));
  }
  progress.finish();
  try {
    const std::shared_ptr<const Engine> copied = Engine::open(copy.temporary(), any_machine);
    if (copied->body_digest().hex() != digest) throw Error(engine.string(), "changed while it was copied");
    copied->check_weights();
  } catch (const Error& error) {
    throw Error(engine.string(), error.fault(), error.remedy());
  }

  const Lock lock(path_);
  make_directory(model_path(model));
  copy.commit();
  if (mends && fs::exists(model_path(model) / state_name, missing)) {
    const ModelVersions now = read(model);
    const auto known = std::ranges::find_if(now.versions(), [&](const StoredVersion& version) {
      return version.digest == digest && version.has_file() && version.state != VersionState::retired;
    });
    if (known != now.versions().end()) return {};
  }
  return keep(model, actor, rule);
}

bool Store::is_sound(const fs::path& engine) {
  try {
    Engine::OpenOptions any_machine;
    any_machine.check_target = false;
    Engine::open(engine, any_machine)->check_weights();
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::vector<Store::Collected> Store::collect(std::string_view actor) const {
  const Lock lock(path_);
  for (const std::string& model : models()) read(model);  // what one of them needs must be known
  std::vector<Collected> collected;
  for (const std::string& model : models()) {
    const AuditRecord record = keep(model, actor, [](const ModelVersions& now) { return now.collect(); });
    for (const AuditRecord::Change& change : record.changes) {
      std::error_code missing;
      const auto bytes = fs::file_size(object_path(change.digest), missing);
      collected.push_back({model, change.version, missing ? 0 : static_cast<int64_t>(bytes)});
    }
  }
  remove_unused_objects();
  return collected;
}

/// Under the lock, under which what is added comes to its name, too. What stands beside an engine goes with it.
void Store::remove_unused_objects() const {
  std::set<std::string> used;
  for (const std::string& model : models()) {
    const ModelVersions now = read(model);
    for (const StoredVersion& version : now.versions()) {
      if (version.has_file()) used.insert(version.digest);
    }
  }
  std::vector<fs::path> there;
  std::error_code fault;
  for (fs::directory_iterator at(path_ / objects_name, fault), end; !fault && at != end; at.increment(fault)) {
    there.push_back(at->path());
  }
  for (const fs::path& path : there) {
    const std::string name = path.filename().string();
    const std::string digest = name.substr(0, name.find(engine_ending));
    remove_abandoned(object_path(digest));
    const bool is_copied = name.find(temporary_mark) != std::string::npos;  // by a program that lives
    if (!is_copied && !used.contains(digest)) fs::remove(path, fault);
  }
}

std::string current_actor() {
  const passwd* user = ::getpwuid(::geteuid());
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return fmt::format("{}@{}", user == nullptr ? std::to_string(::geteuid()) : std::string(user->pw_name), host);
}

}  // namespace incipit
