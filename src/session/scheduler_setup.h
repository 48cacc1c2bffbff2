// What a session's scheduler is made with, from the engine and what its executor can hold.
#pragma once

#include "engine/engine.h"
#include "runtime/executor.h"
#include "session/scheduler.h"
#include "session/session.h"
#include "session/step_costs.h"

namespace incipit {

SchedulerLimits make_scheduler_limits(const ExecutorLimits& limits, const SessionOptions& options);

/// Steps to time: where kernels change, but none near another, and none far from the next. Chunks have sizes of others.
StepCosts empty_costs(const Engine& engine, const SchedulerLimits& limits);

}  // namespace incipit
