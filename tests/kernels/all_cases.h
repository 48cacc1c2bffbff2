// The random steps of every kernel family: a family of kernels/family_list.h that has none does not compile.
#pragma once

#include "elementwise_case.h"
#include "expert_case.h"
#include "gather_case.h"
#include "kernels/family_list.h"
#include "linear_case.h"
#include "norm_case.h"
#include "paged_case.h"
#include "rotary_case.h"
#include "sampling_case.h"
#include "slot_case.h"
