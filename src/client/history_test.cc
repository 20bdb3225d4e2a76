// The row of an attempt is the same, whether it is written in place or handed to the shell.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>

#include "base/random.h"
#include "client/machine_in_tests.h"
#include "message/task_rows.h"

namespace eagleray {
namespace {

constexpr ProcId kWorker{2};

class HistoryTest : public OneClientTest {
 protected:
  HistoryTest() {
    now_ = Instant{1'000'000};
    lease(kWorker);
    known_form_ = machine_.intern_template(form_);
  }

  // A task whose times and sizes are drawn from `random`, nonsense of its worker included.
  void run_one(Random& random) {
    ClientMachine::Call call;
    call.form = known_form_;
    call.arguments = Payload::copy_of(std::string(random.below(3) * 40'000, 'x'));
    const auto made = machine_.submit(std::move(call), now_, effects_);
    const Instant pushed = now_;
    now_ = now_ + Duration{static_cast<int64_t>(random.below(100'000))};
    TaskDone done;
    done.token = made.token;
    done.returns.emplace_back().kind =
        random.below(8) == 0 ? ValueKind::kError : ValueKind::kInline;
    done.returns[0].bytes = Payload::copy_of(std::string(random.below(100), 'y'));
    if (random.below(8) != 0) {
      done.started_us = pushed.us + static_cast<int64_t>(random.below(20'000)) - 1'000;
      done.run_us = static_cast<uint32_t>(random.below(50'000));
    }
    if (random.below(50) == 0) done.started_us = random.chance(50) ? INT64_MIN : INT64_MAX;
    if (random.below(50) == 0) done.run_us = UINT32_MAX;
    peer(kWorker, std::move(done));
    machine_.unpin(made.first, effects_);
  }

  const TaskTemplate* known_form_ = nullptr;
};

TEST_F(HistoryTest, a_row_written_in_place_is_the_row_that_the_shell_gets) {
  constexpr int kTasks = 500;
  Random random(3);
  for (int i = 0; i < kTasks; ++i) run_one(random);
  ASSERT_EQ(effects_.history.size(), size_t{kTasks});

  alignas(TaskFileHeader) std::array<char, 64 << 10> file{};
  new (file.data()) TaskFileHeader;
  TaskRowWriter writer;
  writer.begin(file.data(), file.size());
  writer.name(1, 0);
  machine_.write_rows_to(writer);
  const Effects before = std::exchange(effects_, Effects{});
  const int64_t later = now_.us - 1'000'000;
  random = Random(3);
  run_one(random);
  writer.name(0, 0);  // from here on it takes the usual ones alone
  for (int i = 1; i < kTasks; ++i) run_one(random);

  const TaskRows rows({file.data(), file.size()});
  EXPECT_EQ(rows.count() + effects_.history.size(), size_t{kTasks});
  EXPECT_GT(rows.count(), uint32_t{kTasks / 4});
  std::map<uint64_t, TaskRow> found;
  for (uint32_t i = 0; i < rows.count(); ++i) found[rows.at(i).unique] = rows.at(i);
  for (const TaskRow& row : effects_.history) found[row.unique] = row;
  ASSERT_EQ(found.size(), size_t{kTasks});
  const uint64_t first = found.begin()->first;
  for (auto& [unique, row] : found) {
    const TaskRow& wanted = before.history[(unique - first) >> 24];
    row.unique = wanted.unique;
    row.submitted_us -= later;
    EXPECT_EQ(std::memcmp(&row, &wanted, sizeof row), 0) << unique;
  }
}

}  // namespace
}  // namespace eagleray
