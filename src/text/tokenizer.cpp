#include "text/tokenizer.h"

#include <limits>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/added_tokens.h"
#include "text/normalizer.h"
#include "text/pair_merger.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_tables.h"

namespace incipit {
namespace {

/// Kept from one text to the next, so that encoding does not allocate once warm.
struct EncodeScratch {
  PreTokenizerScratch pieces;
  MergeScratch merges;
};

// A text beyond this gives its thread's scratch memory back.
constexpr size_t scratch_text_limit = 1 << 20;

std::vector<NormalizerStep> normalizer_of(const TokenizerTables& tables) {
  std::vector<NormalizerStep> steps;
  for (const NormalizerStepRecord& record : tables.normalizer()) {
    steps.push_back({static_cast<NormalizerStepKind>(record.kind),
                     std::string(tables.string(record.pattern_offset, record.pattern_size)),
                     std::string(tables.string(record.content_offset, record.content_size))});
  }
  return steps;
}

std::vector<PreTokenizerStep> steps_of(const TokenizerTables& tables) {
  std::vector<PreTokenizerStep> steps;
  for (const PreTokenizerStepRecord& record : tables.steps()) {
    steps.push_back({static_cast<PreTokenizerStepKind>(record.kind), static_cast<SplitBehavior>(record.behavior),
                     record.invert != 0, std::string(tables.string(record.pattern_offset, record.pattern_size))});
  }
  return steps;
}

/// Calls `plain(part)` and `token(id)` in the order of the text.
template <typename Plain, typename Token>
void for_each_part(const AddedTokenFinder& finder, std::string_view text, bool specials, const Plain& plain,
                   const Token& token) {
  size_t position = 0;
  while (const auto found = finder.find(text, position, specials)) {
    if (found->range.begin > position) plain(text.substr(position, found->range.begin - position));
    token(found->id);
    position = found->range.end;
  }
  if (position < text.size()) plain(text.substr(position));
}

}  // namespace

struct Tokenizer::State {
  State(std::span<const std::byte> block, std::shared_ptr<const void> block_owner)
      : owner(std::move(block_owner)),
        tables(block),
        normalizer(normalizer_of(tables), "compiled tokenizer"),
        raw_tokens(tables, tables.added_raw()),
        normalized_tokens(tables, tables.added_normalized()),
        pre_tokenizer(steps_of(tables), "compiled tokenizer") {}

  void encode(std::string_view text, bool specials, EncodeScratch& scratch, std::vector<int32_t>& ids) const {
    const auto token = [&](int32_t id) { ids.push_back(id); };
    std::string_view beginning;  // where the text begins, for parts of it and for what they are normalised to
    const auto plain = [&](std::string_view part) {
      const std::string_view source = pre_tokenizer.cut(part, part.data() == beginning.data(), scratch.pieces);
      for (const TextRange piece : scratch.pieces.pieces) {
        encode_piece(tables, source.substr(piece.begin, piece.end - piece.begin), scratch.merges, ids);
      }
    };
    for_each_part(
        raw_tokens, text, specials,
        [&](std::string_view part) {
          const bool first = part.data() == text.data();
          const bool alone = normalizer.leaves_alone(part);
          const std::string normalized = alone ? std::string() : normalizer.normalize(part, first);
          const std::string_view source = alone ? part : normalized;
          if (first) beginning = source;
          for_each_part(normalized_tokens, source, specials, plain, token);
        },
        token);
  }

  std::shared_ptr<const void> owner;
  TokenizerTables tables;
  Normalizer normalizer;
  AddedTokenFinder raw_tokens;
  AddedTokenFinder normalized_tokens;
  PreTokenizer pre_tokenizer;
};

std::shared_ptr<const Tokenizer> Tokenizer::open(std::span<const std::byte> tables, std::shared_ptr<const void> owner) {
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::make_unique<const State>(tables, std::move(owner))));
}

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > std::numeric_limits<int32_t>::max()) {
    throw Error(options.name, "it has more than 2 GiB", "cut it up");
  }
  thread_local EncodeScratch scratch;
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  const TokenizerTables& tables = state_->tables;
  if (options.add_special_tokens) ids.insert(ids.end(), tables.prefix_ids().begin(), tables.prefix_ids().end());
  state_->encode(text, options.parse_special, scratch, ids);
  if (options.add_special_tokens) ids.insert(ids.end(), tables.suffix_ids().begin(), tables.suffix_ids().end());
  if (text.size() > scratch_text_limit) scratch = {};
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  DecodingStart start = decoding_start();
  for (const int32_t id : ids) {
    if (!skip_special || !is_special(id)) append_token(id, start, bytes);
  }
  if (valid_utf8_prefix(bytes) == bytes.size()) return bytes;
  std::string text;
  append_lossy_utf8(text, bytes, true);
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const { return state_->tables.token_bytes(id); }

DecodingStart Tokenizer::decoding_start() const { return {true, state_->tables.stripped_count()}; }

void Tokenizer::append_token(int32_t id, DecodingStart& start, std::string& bytes) const {
  const TokenizerTables& tables = state_->tables;
  std::string_view added = tables.token_bytes(id);
  if (std::exchange(start.first_token, false) && tables.bare_first_token() &&
      (tables.token_flags(id) & TokenFlag::added) == 0) {
    for (const char c : added) {
      if (c != ' ') bytes += c;
    }
    return;
  }
  while (start.strippable > 0 && !added.empty()) {
    start.strippable = added[0] == tables.stripped_byte() ? start.strippable - 1 : 0;
    if (added[0] == tables.stripped_byte()) added.remove_prefix(1);
  }
  bytes += added;
}

bool Tokenizer::is_special(int32_t id) const { return (state_->tables.token_flags(id) & TokenFlag::special) != 0; }

std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  for (const AddedTokenFinder* finder : {&state_->raw_tokens, &state_->normalized_tokens}) {
    if (const AddedTokenRecord* record = finder->find_exact(token)) return record->id;
  }
  const int32_t id = state_->tables.find_spelling(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

size_t Tokenizer::vocab_size() const { return state_->tables.vocab_size(); }

std::optional<int32_t> Tokenizer::bos_id() const {
  return state_->tables.bos_id() < 0 ? std::nullopt : std::optional(state_->tables.bos_id());
}

std::span<const int32_t> Tokenizer::eos_ids() const { return state_->tables.eos_ids(); }

}  // namespace incipit
