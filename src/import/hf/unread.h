// Architectures that this build does not read: what it lacks for those that are published, and which names are near.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// What a model needs that this build does not compute ("state-space layers (Mamba 2)"), by the name of its
/// architecture or by a text part's `model_type`. Empty where nothing is known of it.
std::string_view what_is_lacking(std::string_view name);

/// Whether an architecture's name says that it gives no logits of a next token: encoders, classifiers, bare bodies.
bool is_headless(std::string_view name);

/// Those of `known` that read most like `name`, at most five, the nearest first. Names that have little in common
/// with it are none.
std::vector<std::string_view> nearest_names(std::string_view name, const std::vector<std::string_view>& known);

}  // namespace incipit
