#include "import/hf/rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace incipit {
namespace {

/// Wide enough for any sense, narrow enough that every frequency is a finite float.
double ratio(const HfConfig& config, std::string_view key) {
  constexpr double smallest = 1e-3, largest = 1e12;
  const double value = config.number(key);
  if (value < smallest || value > largest) {
    config.fail(fmt::format("{} is {}", key, config.shown(key)), "it must lie in [0.001, 1e12]");
  }
  return value;
}

double ratio_or(const HfConfig& config, std::string_view key, double fallback) {
  return config.has(key) ? ratio(config, key) : fallback;
}

/// One set of rotary options, wherever a config has them.
struct RopeOptions {
  const HfConfig& config;  // the file
  HfConfig own;            // rope_parameters, rope_scaling, or what stands there for a layer type
  double theta = 0;
  int64_t dim = 0;  // rotated elements of a head
  RopeContext context;

  std::string kind() const {
    const std::string name = own.text_or("rope_type", own.text_or("type", "default"));
    // What older checkpoints of Phi-3 call it.
    return name == "su" || (name == "yarn" && own.has("long_factor")) ? "longrope" : name;
  }
  /// Length before any stretching: Transformers lets the file's own option win.
  double original_max_position() const {
    constexpr std::string_view key = "original_max_position_embeddings";
    if (config.has(key)) return ratio(config, key);
    return ratio_or(own, key, static_cast<double>(context.max_position));
  }
  double factor() const {
    return own.has("factor") ? ratio(own, "factor")
                             : static_cast<double>(context.max_position) / original_max_position();
  }
};

/// theta^(2i/dim) for each pair: one turn's positions, but for 2π.
std::vector<float> periods(double theta, int64_t dim) {
  std::vector<float> result(static_cast<size_t>((dim + 1) / 2));
  const auto base = static_cast<double>(static_cast<float>(theta));
  for (size_t pair = 0; pair < result.size(); ++pair) {
    const float exponent = static_cast<float>(2 * pair) / static_cast<float>(dim);
    // In double and rounded once: the nearest float to the power, which float32 libraries miss by an ulp at most.
    result[pair] = static_cast<float>(std::pow(base, static_cast<double>(exponent)));
  }
  return result;
}

/// Dubey et al.: The Llama 3 Herd of Models, 2024: low frequencies are divided, high ones stay, between them a blend.
Rope llama3_rope(const RopeOptions& options) {
  const auto factor = static_cast<float>(ratio(options.own, "factor"));
  const auto low = static_cast<float>(ratio(options.own, "low_freq_factor"));
  const auto high = static_cast<float>(ratio(options.own, "high_freq_factor"));
  const auto original = static_cast<float>(options.original_max_position());
  if (high <= low) options.own.fail(fmt::format("high_freq_factor {} is not above low_freq_factor {}", high, low));
  Rope rope = plain_rope(options.theta, options.dim);
  for (float& frequency : rope.inverse_frequencies) {
    // Reciprocal, then product: how the original's `2π / tensor` and `original / tensor` round.
    const float wavelength = (1.0F / frequency) * static_cast<float>(2 * std::numbers::pi);
    if (wavelength > original / low) {
      frequency /= factor;
    } else if (wavelength >= original / high) {
      const float smooth = ((1.0F / wavelength) * original - low) / (high - low);
      frequency = (1 - smooth) * frequency / factor + smooth * frequency;
    }
  }
  return rope;
}

/// Peng et al.: YaRN, 2023.
Rope yarn_rope(const RopeOptions& options) {
  const HfConfig& own = options.own;
  const double factor = options.factor(), original = options.original_max_position();
  const auto temperature = [&](double scale) { return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1; };
  const double mscale = own.number_or("mscale", 0), mscale_all_dim = own.number_or("mscale_all_dim", 0);
  double attention = temperature(1);
  if (mscale != 0 && mscale_all_dim != 0) attention = temperature(mscale) / temperature(mscale_all_dim);
  if (own.has("attention_factor")) attention = ratio(own, "attention_factor");
  if (!(std::abs(attention) < 1e12)) own.fail("mscale and mscale_all_dim give no finite attention factor");

  // Zero counts as absent for both.
  const auto beta = [&](std::string_view key, double fallback) {
    return own.number_or(key, 0) == 0 ? fallback : ratio(own, key);
  };
  // Between these dims the blend goes from unchanged frequencies to divided ones.
  const auto dim = static_cast<double>(options.dim);
  if (options.theta <= 1) own.fail(fmt::format("rope_theta is {}", options.theta), "with yarn it must be above 1");
  const auto turning_dim = [&](double turns) {
    return dim * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(options.theta));
  };
  double low = turning_dim(beta("beta_fast", 32)), high = turning_dim(beta("beta_slow", 1));
  if (own.flag("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;

  Rope rope;
  rope.factor = static_cast<float>(attention);
  for (const float period : periods(options.theta, options.dim)) {
    const auto pair = static_cast<float>(rope.inverse_frequencies.size());
    const float ramp = std::clamp((pair - static_cast<float>(low)) / static_cast<float>(high - low), 0.0F, 1.0F);
    const float kept = 1 - ramp;
    rope.inverse_frequencies.push_back(1.0F / (static_cast<float>(factor) * period) * (1 - kept) +
                                       1.0F / period * kept);
  }
  return rope;
}

/// Ding et al.: LongRoPE, 2024: a factor for each frequency, one list for short contexts and one for long ones. An
/// engine has one of them, by the longest context that it can be asked for.
Rope long_rope(const RopeOptions& options) {
  const HfConfig& own = options.own;
  const double original = options.original_max_position(), factor = options.factor();
  Rope rope;
  if (own.has("attention_factor")) {
    rope.factor = static_cast<float>(ratio(own, "attention_factor"));
  } else if (factor > 1) {
    if (original <= 1) own.fail(fmt::format("original_max_position_embeddings is {}", original), "it must be above 1");
    rope.factor = static_cast<float>(std::sqrt(1 + std::log(factor) / std::log(original)));
  }
  const bool is_long = static_cast<double>(options.context.max_context) > original;
  const std::string_view scale_key = is_long ? "long_mscale" : "short_mscale";  // Phi-3.5-MoE's
  if (own.has(scale_key)) rope.factor = static_cast<float>(ratio(own, scale_key));
  const std::string_view key = is_long ? "long_factor" : "short_factor";
  const std::vector<float> period = periods(options.theta, options.dim);
  const std::vector<double> stretch = own.numbers(key);
  if (stretch.size() != period.size()) {
    own.fail(fmt::format("{} has {} numbers", key, stretch.size()),
             fmt::format("a rotated width of {} needs {}", options.dim, period.size()));
  }
  for (size_t pair = 0; pair < period.size(); ++pair) {
    if (stretch[pair] < 1e-3 || stretch[pair] > 1e12) {
      own.fail(fmt::format("{} has {}", key, stretch[pair]), "its numbers must lie in [0.001, 1e12]");
    }
    rope.inverse_frequencies.push_back(1.0F / (static_cast<float>(stretch[pair]) * period[pair]));
  }
  return rope;
}

Rope linear_rope(const RopeOptions& options) {
  const auto factor = static_cast<float>(ratio(options.own, "factor"));
  Rope rope = plain_rope(options.theta, options.dim);
  for (float& frequency : rope.inverse_frequencies) frequency /= factor;
  return rope;
}

/// Within the original length, which an engine cannot leave, nothing is stretched yet. Hunyuan's `alpha` stretches the
/// base for all lengths.
Rope dynamic_rope(const RopeOptions& options) {
  ratio(options.own, "factor");
  if (options.context.max_context > options.context.max_position) {
    options.own.fail(fmt::format("rope_type 'dynamic' is supported up to its original length of {} positions, not {}",
                                 options.context.max_position, options.context.max_context),
                     fmt::format("give --max-context up to {}", options.context.max_position));
  }
  if (options.own.number_or("alpha", 0) == 0) return plain_rope(options.theta, options.dim);
  const auto dim = static_cast<double>(options.dim);
  if (options.dim <= 2) options.own.fail("alpha needs heads of more than two rotated elements");
  return plain_rope(options.theta * std::pow(ratio(options.own, "alpha"), dim / (dim - 2)), options.dim);
}

/// Queries that grow, of Llama 4 and Ministral 3.
void read_growth(const RopeOptions& options, Rope& rope) {
  constexpr std::string_view key = "llama_4_scaling_beta";
  const double growth = options.own.number_or(key, 0);
  if (growth == 0) return;
  const std::string fault = fmt::format("{} is {}", key, options.own.shown(key));
  if (!options.context.grows) options.own.fail(fault + ", which is not supported for this architecture");
  if (growth < 0 || growth > 1e3) options.own.fail(fault, "it must lie in [0, 1000]");
  rope.growth = static_cast<float>(growth);
  rope.growth_length = options.own.integer("original_max_position_embeddings", 1, 1 << 28);
}

Rope make_rope(const RopeOptions& options) {
  const std::string kind = options.kind();
  if (kind == "default") return plain_rope(options.theta, options.dim);
  if (kind == "linear") return linear_rope(options);
  if (kind == "dynamic") return dynamic_rope(options);
  if (kind == "llama3") return llama3_rope(options);
  if (kind == "yarn") return yarn_rope(options);
  if (kind == "longrope") return long_rope(options);
  options.own.fail(fmt::format("rope_type '{}' is not supported", kind),
                   "this build reads default, linear, dynamic, llama3, yarn and longrope");
}

/// How many elements of a head turn.
int64_t rotated_dim(const HfConfig& config, const HfConfig& own, const RopeContext& context) {
  constexpr std::string_view usual_key = "partial_rotary_factor";
  double partial = context.default_partial;
  const auto read = [&](const HfConfig& place, std::string_view key) {
    if (key.empty() || !place.has(key)) return;
    partial = place.number(key);
    const std::string fault = fmt::format("{} is {}", key, place.shown(key));
    if (context.partial_key.empty() && partial != 1) place.fail(fault, "this architecture is supported with 1 only");
    if (!(partial > 0) || partial > 1) place.fail(fault, "it must lie in (0, 1]");
  };
  read(config, usual_key);
  read(config, context.partial_key);
  read(own, usual_key);
  const auto dim = static_cast<int64_t>(static_cast<double>(context.head_dim) * partial);
  if (dim < 1) config.fail(fmt::format("{} {} leaves nothing of a head to turn", context.partial_key, partial));
  return dim;
}

constexpr std::string_view newer_key = "rope_parameters";

/// The object with the rotary options. Transformers lets the older key win where both say something.
HfConfig options_object(const HfConfig& config, std::string_view scaling_key) {
  HfConfig older = config.object(scaling_key);
  return older.keys().empty() ? config.object(newer_key) : std::move(older);
}

/// Options by layer type: Transformers 5 nests them so, whatever the types are called.
bool is_nested(const HfConfig& own) {
  return std::ranges::any_of(own.keys(), [&](const std::string& key) { return own.is_object(key); });
}

/// The options that all layers share: those of any type where every type has the same.
std::optional<HfConfig> shared_options(HfConfig own) {
  if (!is_nested(own)) return own;
  const std::vector<std::string> types = own.keys();
  HfConfig first = own.object(types.front());
  for (const std::string& type : types) {
    if (!own.object(type).same_as(first)) return std::nullopt;
  }
  return first;
}

/// The options of the layers of one type.
HfConfig layer_type_options(const HfConfig& config, const RopeContext& context, std::string_view layer_type) {
  const HfConfig newer = config.object(newer_key), older = config.object(context.scaling_key);
  if (is_nested(older)) older.fail("the options of layer types are not supported here", "move them to rope_parameters");
  for (const std::string& key : newer.keys()) {
    if (key == "full_attention" || key == "sliding_attention") continue;
    newer.fail(fmt::format("{} belongs to no layer type of this architecture", key),
               "give full_attention and sliding_attention, each with options of its own");
  }
  return newer.object(layer_type).updated(older);
}

/// Transformers takes what stands among the rotary options, and says nothing of another value beside them.
void warn_of_another(const HfConfig& own, std::string_view key, const HfConfig& config, std::string_view outer_key) {
  if (!own.has(key) || !config.has(outer_key) || own.number(key) == config.number(outer_key)) return;
  log_warning("{}: {} {} counts, and {} {} beside it does not", config.name(), own.full_key(key), own.shown(key),
              config.full_key(outer_key), config.shown(outer_key));
}

Rope read_options(const HfConfig& config, HfConfig own, const RopeContext& context) {
  warn_of_another(own, "rope_theta", config, context.theta_key);
  const double theta =
      own.has("rope_theta") ? ratio(own, "rope_theta") : ratio_or(config, context.theta_key, context.default_theta);
  const int64_t dim = rotated_dim(config, own, context);
  const RopeOptions options{config, std::move(own), theta, dim, context};
  Rope rope = make_rope(options);
  read_growth(options, rope);
  return rope;
}

}  // namespace

Rope plain_rope(double theta, int64_t dim) {
  INCIPIT_ASSERT(dim > 0);
  Rope rope;
  for (const float period : periods(theta, dim)) rope.inverse_frequencies.push_back(1.0F / period);
  return rope;
}

Rope read_rope(const HfConfig& config, const RopeContext& context) {
  const HfConfig own = options_object(config, context.scaling_key), newer = config.object(newer_key);
  std::optional<HfConfig> shared = shared_options(options_object(config, context.scaling_key));
  if (!shared) {
    own.fail(fmt::format("{}: rotary parameters by layer type are not supported for this architecture", own.keys()[0]));
  }
  if (!newer.keys().empty() && !newer.same_as(own)) {
    log_warning("{}: {} counts, and rope_parameters beside it does not", config.name(), context.scaling_key);
  }
  return read_options(config, std::move(*shared), context);
}

Rope read_layer_type_rope(const HfConfig& config, const RopeContext& context, std::string_view layer_type) {
  return read_options(config, layer_type_options(config, context, layer_type), context);
}

int64_t stretched_max_position(const HfConfig& config, int64_t max_position) {
  std::optional<HfConfig> own = shared_options(options_object(config, "rope_scaling"));
  if (!own) return max_position;
  const RopeOptions options{config, std::move(*own), 0, 0, {}};
  if (options.kind() != "yarn" || !options.own.has("factor") || !options.own.has("original_max_position_embeddings")) {
    return max_position;
  }
  constexpr double limit = 1 << 28;  // positions that an engine may have
  return std::max(max_position,
                  static_cast<int64_t>(std::min(options.factor() * options.original_max_position(), limit)));
}

}  // namespace incipit
