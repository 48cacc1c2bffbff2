#include <boost/json.hpp>
#include "base/error.h"
#include "server/store_follower.h"
namespace incipit {
boost::json::object StoreFollower::verify(const std::string&, int64_t, const std::string&) {
  throw Error("verify", "todo");
}
}  // namespace incipit
