// Placement of a group's bundles on nodes. A pure function over a cluster view: control calls it,
// nothing is reserved here (that is the two-phase exchange with the nodes), no state is kept.
#pragma once

#include <vector>

#include "base/result.h"
#include "message/common.h"
#include "message/control_calls.h"

namespace eagleray {

// The node of each bundle, in the order of `spec.bundles`. Only nodes with `info.alive` are used.
// kLimit: not with what is free now, but an idle cluster could. kInvalid: not even when idle.
// PACK puts a bundle beside the others where it can; SPREAD on a node of its own where it can; the
// strict forms fail rather than give way. Equal inputs give equal answers.
Result<std::vector<NodeId>> pack_bundles(const std::vector<ClusterNode>& view,
                                         const GroupSpec& spec);

}  // namespace eagleray
