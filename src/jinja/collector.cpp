#include "jinja/collector.h"

namespace incipit::jinja {

void Collector::keep(const Value& value) {
  switch (value.kind()) {
    case Kind::none:
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
    case Kind::function: break;
    case Kind::undefined:  // has a name
    case Kind::large_integer:
    case Kind::string: heap_.mark_text(value.text()); break;
    default:
      if (heap_.mark(value.identity())) marked_.push_back(value);
  }
}

void Collector::keep(List* list) {
  if (list != nullptr) keep(Value::list(list));
}

void Collector::keep(Scope* scope) {
  for (; scope != nullptr && heap_.mark(scope); scope = scope->parent) {
    for (const auto& [name, value] : scope->variables) keep(value);
  }
}

void Collector::keep_parts(const Value& value) {
  switch (value.kind()) {
    case Kind::list:
    case Kind::tuple:
    case Kind::view:
      for (const Value& item : value.list().items) keep(item);
      break;
    case Kind::dict:
    case Kind::name_space:
      for (const Dict::Entry& entry : value.dict().entries) {
        keep(entry.key);
        keep(entry.value);
      }
      break;
    case Kind::iterator: keep(value.iterator().list); break;
    case Kind::cycler: keep(value.cycler().list); break;
    case Kind::joiner: keep(value.joiner().separator); break;
    case Kind::method:
      keep(value.method().self);
      heap_.mark_text(value.method().name);
      break;
    case Kind::macro: keep(value.macro().scope); break;
    case Kind::loop: {
      Loop& loop = value.loop();
      keep(loop.scope);
      keep(loop.source.iterable());
      keep(loop.ahead);
      keep(loop.previous);
      keep(loop.current);
      keep(loop.last_changed);
      break;
    }
    default: break;
  }
}

void Collector::finish() {
  while (!marked_.empty()) {
    const Value value = marked_.back();
    marked_.pop_back();
    keep_parts(value);
  }
  heap_.end_collection();
}

}  // namespace incipit::jinja
