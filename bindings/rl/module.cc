// The module eagleray._rl: native environments, nets, learner and rollouts. Converts, decides
// nothing; python/eagleray/_rl.pyi describes it.
#include "rl/common.h"

NB_MODULE(_rl, module) {
  eagleray::rl::bind_envs(module);
  eagleray::rl::bind_policy(module);
  eagleray::rl::bind_learner(module);
  eagleray::rl::bind_rollout(module);
}
