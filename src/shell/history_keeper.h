// HistoryKeeper: a thread of control that takes full files of tasks (shell/task_history.h) into the
// history's database. It sleeps until a file is full or closed, also by its process's death, and
// then a little longer: many files are one commit. Behind the commit a file is given back to its
// process or, without one, removed; what is taken twice is kept once.
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
  struct Taken {
    std::string name;
    Fd file;
    bool in_use = false;  // its process lives, and may use it again
  };
  enum class Found : uint8_t { kNothing, kLater, kRows, kNoRows };
  bool hear();     // of files that are full or were closed
  bool gather();   // lets more of them come
  void collect();  // what can be of wanted_
  Found look(const std::string& name, Taken& taken);
  Found read(Taken& taken);
  Result<Ok> keep(std::vector<Taken>& taken);
  std::vector<HistoryStore::Names> names_of(const std::vector<Taken>& taken);
  void give_back(std::vector<Taken>& taken);

  const std::string directory_;
  const uint64_t bytes_max_;
  std::unique_ptr<HistoryStore> store_;
  Fd watch_, bell_;
  std::atomic<bool> ending_{false};
  // Names of files, and how often they are still to be tried.
  std::map<std::string, int> wanted_;
  // What processes have in use, by name: to close one would look like a process's death.
  std::map<std::string, Fd> open_;
  bool missed_ = false;  // after an error: some that are to be taken are not wanted_
  std::string buffer_;   // a file's bytes, and of these
  HistoryStore::Block block_;
  std::map<std::string, size_t> names_kept_;  // files of names: the bytes that are kept
  std::thread thread_;
};

}  // namespace eagleray
