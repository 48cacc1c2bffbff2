// Whether a sanitizer watches: then the longest tests take fewer cases, as each takes many times longer.
#pragma once

namespace incipit {

#if defined(__clang__)
constexpr bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

}  // namespace incipit
