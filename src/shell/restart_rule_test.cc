#include "shell/restart_rule.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace eagleray {
namespace {

constexpr int kStatusOne = 1 << 8;

class RestartRuleTest : public testing::Test {
 protected:
  // Ends it without an answer; how long the next start waits.
  Duration fail() {
    rule_.started();
    rule_.ended(now_);
    rule_.exited(kStatusOne);
    return rule_.next_start() - now_;
  }

  Instant now_{1'000'000};
  RestartRule rule_{{3, Duration::from_ms(100), Duration::from_ms(250)}};
};

TEST_F(RestartRuleTest, one_that_has_answered_is_started_again_at_once) {
  rule_.started();
  EXPECT_EQ(rule_.next_start(), Instant::never());
  EXPECT_FALSE(rule_.is_due(now_));
  rule_.answered();
  rule_.ended(now_);
  EXPECT_TRUE(rule_.is_due(now_));
  EXPECT_EQ(rule_.failed_starts(), 0u);
}

TEST_F(RestartRuleTest, failures_in_a_row_wait_longer_and_are_given_up) {
  EXPECT_EQ(fail(), Duration::from_ms(100));
  EXPECT_FALSE(rule_.is_due(now_));
  EXPECT_EQ(fail(), Duration::from_ms(200));
  EXPECT_FALSE(rule_.given_up());
  EXPECT_EQ(fail(), Duration::from_ms(250));
  EXPECT_TRUE(rule_.given_up());
}

TEST_F(RestartRuleTest, an_answer_ends_the_row) {
  fail();
  fail();
  rule_.started();
  rule_.answered();
  rule_.ended(now_);
  EXPECT_EQ(fail(), Duration::from_ms(100));
  EXPECT_TRUE(rule_.ever_answered());
}

TEST_F(RestartRuleTest, killed_from_outside_is_no_failure_whatever_is_heard_first) {
  rule_.started();
  rule_.ended(now_);
  rule_.exited(SIGKILL);
  EXPECT_EQ(rule_.failed_starts(), 0u);
  rule_.started();
  rule_.exited(SIGKILL);
  rule_.ended(now_);
  EXPECT_EQ(rule_.failed_starts(), 0u);
  EXPECT_EQ(rule_.next_start() - now_, Duration::from_ms(100));
  rule_.started();
  rule_.exited(SIGSEGV);
  rule_.ended(now_);
  EXPECT_EQ(rule_.failed_starts(), 1u);
}

TEST_F(RestartRuleTest, what_could_not_be_started_counts) {
  rule_.could_not_start(now_);
  EXPECT_EQ(rule_.next_start() - now_, Duration::from_ms(100));
  EXPECT_EQ(rule_.failed_starts(), 1u);
}

}  // namespace
}  // namespace eagleray
