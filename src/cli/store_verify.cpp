// incipit store verify: a version passes its gates, or is rejected.
#include "cli/store_verify.h"

namespace incipit::cli {

void add_store_verify(CLI::App&, Action&) {}

}  // namespace incipit::cli
