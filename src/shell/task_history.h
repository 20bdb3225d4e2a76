// TaskHistory: what a process remembers of the tasks that it has submitted, in files of the session
// that outlive it, however it ends. Part of ClientShell, under its lock. A row is a copy into
// mapped memory; a new file is opened every 3,640 rows, and names are written once.
//
// FILE is PROC-NUMBER.tasks: a TaskFileHeader and rows. As long as the process writes to it, it is
// locked (flock); control's HistoryKeeper takes what nobody has locked. PROC.names has a JSON line
// for each number that rows mention, and for what errors say.
#pragma once

#include <string>

#include "base/ids.h"
#include "base/resources.h"
#include "client/client_machine.h"
#include "io/fd.h"
#include "message/task_row.h"

namespace eagleray {

class TaskHistory {
 public:
  // Nothing is written before the first row.
  void begin(std::string directory, ProcId proc, uint32_t pid);
  void append(const TaskRow& row, const ClientMachine& machine) {
    if (row.form > forms_named_ || row.actor > actors_named_) name(row, machine);
    if (count_ == capacity_ && !next_file(machine.job())) return;
    rows_[count_] = row;
    header().count.store(++count_, std::memory_order_release);
  }
  void note_error(const Effects::ErrorText& error);  // behind its row
  void end();                                        // nothing is written any more

 private:
  TaskFileHeader& header() { return *reinterpret_cast<TaskFileHeader*>(memory_.data()); }
  bool next_file(JobId job);
  Result<Mapping> make_file(uint64_t bytes) const;
  void name(const TaskRow& row, const ClientMachine& machine);
  void write_line(const std::string& text);

  std::string directory_;
  ProcId proc_;
  uint32_t pid_ = 0;
  Mapping memory_;
  Fd names_;
  TaskRow* rows_ = nullptr;
  uint32_t count_ = 0;
  uint32_t capacity_ = 0;
  uint64_t files_ = 0;
  uint64_t lost_ = 0;
  uint32_t skip_ = 0;  // rows to be lost before a file is tried again
  uint32_t forms_named_ = 0, actors_named_ = 0;
  uint64_t error_bytes_ = 0;
};

// "%016x" of it, as in the names of its files.
std::string file_prefix(ProcId proc);

}  // namespace eagleray
