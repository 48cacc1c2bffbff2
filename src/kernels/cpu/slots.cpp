// What happens to slots between steps, and how a step's end is told: one tile each.
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

namespace incipit {
namespace {

template <typename Family>
int64_t one_tile(const typename Family::Problem&, const typename Family::Args&, const KernelConfig&) {
  return 1;
}

template <typename Family>
void run_reference(const typename Family::Problem& problem, const typename Family::Args& args, const KernelConfig&,
                   int64_t, std::byte*) {
  Family::reference(problem, args);
}

}  // namespace

Kernel<ResetSlot> reset_slot_generic() {
  const auto accepts = [](const ResetSlot::Problem& p) { return p.vocabulary > 0; };
  return {"reset_slot/generic",
          1,
          {},
          accepts,
          plain_config,
          {no_scratch_needed<ResetSlot>, one_tile<ResetSlot>, run_reference<ResetSlot>}};
}

Kernel<TruncateSlot> truncate_slot_generic() {
  const auto accepts = [](const TruncateSlot::Problem& p) { return p.vocabulary > 0; };
  return {"truncate_slot/generic",
          1,
          {},
          accepts,
          plain_config,
          {no_scratch_needed<TruncateSlot>, one_tile<TruncateSlot>, run_reference<TruncateSlot>}};
}

Kernel<Publish> publish_generic() {
  const auto accepts = [](const Publish::Problem&) { return true; };
  return {"publish/generic",
          1,
          {},
          accepts,
          plain_config,
          {no_scratch_needed<Publish>, one_tile<Publish>, run_reference<Publish>}};
}

}  // namespace incipit
