// The module eagleray._rl: native environments, nets, learner and rollouts. Converts, decides
// nothing; python/eagleray/_rl.pyi describes it.
#include "rl/common.h"

namespace nb = nanobind;

NB_MODULE(_rl, module) {
  nb::set_leak_warnings(false);  // what a program still holds at its end is no error
  eagleray::rl::bind_envs(module);
  eagleray::rl::bind_policy(module);
  eagleray::rl::bind_learner(module);
  eagleray::rl::bind_rollout(module);
}
