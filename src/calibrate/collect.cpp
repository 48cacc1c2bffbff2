#include "calibrate/collect.h"

#include <optional>

#include "calibrate/taps.h"

namespace incipit {

TextStatistics collect(const std::shared_ptr<const Engine>& engine, std::span<const std::vector<int32_t>> windows,
                       const CollectOptions& options, const std::function<void(int64_t)>& advance) {
  struct Seen {
    ColumnStatistics columns;
    std::optional<InputMoments> moments;
  };
  const std::vector<TappedProduct> products = tapped_products(*engine);
  std::vector<Seen> seen;
  for (const TappedProduct& product : products) {
    seen.push_back({ColumnStatistics(product.width), {}});
    if (options.moments.contains(product.name)) seen.back().moments.emplace(product.width, options.folder);
  }
  ThreadPool pool(options.threads);
  visit_inputs(
      engine, options.threads, windows,
      [&](size_t index, const InputRows& rows) {
        seen[index].columns.add(rows);
        if (seen[index].moments) seen[index].moments->add(rows, pool);
      },
      advance);
  TextStatistics found;
  for (size_t i = 0; i < products.size(); ++i) {
    if (seen[i].moments) found.moments.emplace(products[i].name, seen[i].moments->constant());
    found.columns.emplace(products[i].name, std::move(seen[i].columns));
  }
  return found;
}

}  // namespace incipit
