#pragma once

namespace incipit {

/// From now on the calling thread runs when no other wants its core. A system that refuses it costs speed only.
void give_way_to_others();

}  // namespace incipit
