// HistoryKeeper: a thread of control that takes finished files of tasks (shell/task_history.h) into
// the history's database. It sleeps until a file is closed: by its process, or by that process's
// death, whatever the kind. A file is removed behind the commit; what is taken twice is kept once.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "io/fd.h"
#include "io/history_store.h"

namespace eagleray {

class HistoryKeeper {
 public:
  // Null where there is nothing to keep: no `directory`, or `bytes_max` is 0.
  static std::unique_ptr<HistoryKeeper> start(const std::string& directory, uint64_t bytes_max);
  ~HistoryKeeper();

 private:
  HistoryKeeper(std::string directory, uint64_t bytes_max);
  void run();
  void look_at_all();
  bool hear();     // of files that were closed
  void collect();  // what can be of wanted_
  bool take(const std::string& name, HistoryStore::Block& block) const;
  std::vector<HistoryStore::Names> names_of(const std::vector<std::string>& taken);
  void remove(const std::vector<std::string>& taken);

  const std::string directory_;
  const uint64_t bytes_max_;
  std::unique_ptr<HistoryStore> store_;
  Fd watch_, bell_;
  std::atomic<bool> ending_{false};
  // Names of files, and how often they are still to be tried.
  std::map<std::string, int> wanted_;
  std::map<std::string, size_t> names_kept_;  // files of names: the bytes that are kept
  std::thread thread_;
};

}  // namespace eagleray
