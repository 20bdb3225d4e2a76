// Bugs planted on purpose, to try the simulator: `./dev sim --planted` says which of them it finds
// (docs/design/simulator.md). Only in the build of that kind is there anything to choose; in every
// other one a planted point is the constant false and compiles to nothing.
#pragma once

#include <cstdint>

namespace eagleray {

enum class Planted : uint8_t {
  kNone,
  // client
  kForgetsWhatRan,
  kRunsOnceTaskAgain,
  kReturnedStaysInFlight,
  kRetireKeepsNested,
  kAskedNotLowered,
  kDroppedResultKeepsRoom,
  kReaderNotTold,
  kRepeatedItemStays,
  kLentToTheDead,
  kTellsOneWhoWants,
  kFreesWhatIsLent,
  kCreditNotCounted,
  kReleaseTakesAll,
  kDeadBorrowersStay,
  kWantsNotRepeated,
  kSecondValueKeepsCredits,
  kCancelOfQueuedIsSilent,
  kAnswerDoesNotWait,
  kLostCallsReversed,
  kCallRunsAgain,
  kWordBeforeLoss,
  kCycleNotConfirmed,
  kSearchPassesOnce,
  // node
  kBlockedCpuGivenTwice,
  kLeaseOfItself,
  kOrphanDroppedEarly,
  kActorEndMentioned,
  kStopForgetsPending,
  kGroupAwaitedOnce,
  kPlacesTwice,
  kZygotesMixed,
  kNothingSentAgain,
  kSubscriptionsForgotten,
  // control
  kAppliesTwice,
  kAnswersBehindAck,
  kNumberNotKept,
  kRestartNotKept,
  kKilledNotRestored,
  kSyncedSaysNothing,
  kRestartsTheKilled,
  // object
  kInnerNotHeld,
  kFreedNotSaid,
  kKeptNotEnded,
  kAddsBeforeClaim,
};

#ifdef EAGLERAY_PLANTED
inline Planted planted_bug = Planted::kNone;  // set once, before any machine runs
inline bool planted(Planted bug) { return planted_bug == bug; }
#else
constexpr bool planted(Planted) { return false; }
#endif

}  // namespace eagleray
