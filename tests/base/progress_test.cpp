#include "base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/error.h"

namespace incipit {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

double time_now = 0;  // seconds
double test_clock() { return time_now; }

TEST(ProgressTest, InvisibleIsSilent) {
  CaptureStderr();
  {
    Progress progress(false);
    progress.stage("weights", 100, "B");
    for (int i = 0; i < 100; ++i) progress.advance(1);
    progress.finish();
    progress.stage("tuning", 0);
    progress.advance(3);
  }
  EXPECT_EQ(GetCapturedStderr(), "");
}

TEST(ProgressTest, AFileIsNoTerminal) {
  CaptureStderr();
  EXPECT_FALSE(Progress::for_terminal());
  GetCapturedStderr();
}

TEST(ProgressTest, DrawsStageShareAndRate) {
  CaptureStderr();
  Progress progress(true, test_clock);
  progress.stage("weights", 30 << 20, "B");
  time_now += 0.11;
  progress.advance(15 << 20);
  progress.advance(15 << 20);
  progress.finish();
  const std::string text = GetCapturedStderr();
  EXPECT_THAT(text, StartsWith("\r\033[Kweights  [                        ]   0%"));
  EXPECT_THAT(text, HasSubstr("\r\033[Kweights  [############            ]  50%"));
  EXPECT_THAT(text, HasSubstr("MiB/s"));
  EXPECT_THAT(text, HasSubstr(" left"));
  EXPECT_THAT(text, HasSubstr("\r\033[Kweights  30.0 MiB  0.1 s"));
  EXPECT_THAT(text, EndsWith("\n"));
}

TEST(ProgressTest, RedrawsAtMostTenTimesASecond) {
  CaptureStderr();
  Progress progress(true, test_clock);
  progress.stage("tokens", 1000000);
  for (int i = 0; i < 200000; ++i) {
    time_now += 1e-5;
    progress.advance(1);
  }
  progress.finish();
  const std::string text = GetCapturedStderr();
  const auto draws = std::count(text.begin(), text.end(), '\r');
  EXPECT_GE(draws, 19);
  EXPECT_LE(draws, 22);  // two seconds, and the first and the last
}

TEST(ProgressTest, UnknownTotalSpins) {
  CaptureStderr();
  Progress progress(true, test_clock);
  progress.stage("reading", 0, "files");
  progress.advance(3);
  progress.finish();
  const std::string text = GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("reading  |"));
  EXPECT_THAT(text, HasSubstr("reading  3 files  0.0 s\n"));
}

TEST(ProgressTest, MoreThanTheTotalStaysAHundredPercent) {
  CaptureStderr();
  Progress progress(true, test_clock);
  progress.stage("weights", 10);
  time_now += 0.11;
  progress.advance(25);
  EXPECT_THAT(GetCapturedStderr(), HasSubstr("[########################] 100%"));
}

TEST(ProgressTest, WhatIsSkippedIsNotWaitedFor) {
  CaptureStderr();
  Progress progress(true, test_clock);
  progress.stage("measuring", 10, "runs");
  progress.advance(2);
  progress.skip(6);
  time_now += 1;
  progress.advance(0);
  progress.finish();
  const std::string text = GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("]  50%"));
  EXPECT_THAT(text, HasSubstr("measuring  2 runs  1.0 s"));
}

TEST(ProgressTest, AnOpenStageIsErasedWhenAnExceptionPasses) {
  CaptureStderr();
  try {
    Progress progress(true, test_clock);
    progress.stage("weights", 10);
    throw Error("", "midway");
  } catch (const Error&) {
  }
  EXPECT_THAT(GetCapturedStderr(), EndsWith("\r\033[K"));
}

TEST(ProgressTest, ALongNameIsCutBetweenCharacters) {
  CaptureStderr();
  Progress progress(true, test_clock);
  std::string name;
  for (int i = 0; i < 2000; ++i) name += "é";
  progress.stage("a" + name, 10);
  const std::string text = GetCapturedStderr();
  EXPECT_LT(text.size(), 1000u);
  EXPECT_THAT(text, EndsWith("é"));
}

TEST(ProgressTest, WithoutATerminalLongWorkSaysALineNowAndThen) {
  time_now = 0;
  CaptureStderr();
  Progress progress = Progress::for_long_work(false, test_clock);
  progress.stage("reading", 0);
  time_now += 0.875;
  progress.stage("kernels", 100, "steps");
  for (int i = 0; i < 50; ++i) {
    time_now += 0.5;
    progress.advance(2);
  }
  progress.finish();
  const std::string text = GetCapturedStderr();
  EXPECT_THAT(text, StartsWith("kernels  [")) << "a stage of less than a second is not told";
  EXPECT_THAT(text, EndsWith("\nkernels  100 steps  25.0 s  4 steps/s\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4) << text << "after 1, 11 and 21 seconds, and at the end";
  EXPECT_EQ(text.find_first_of("\r\033"), std::string::npos) << text;
}

TEST(ProgressTest, WithoutATerminalAnExceptionLeavesItsMessageAlone) {
  CaptureStderr();
  try {
    Progress progress = Progress::for_long_work(false, test_clock);
    progress.stage("weights", 10);
    throw Error("", "midway");
  } catch (const Error&) {
  }
  EXPECT_EQ(GetCapturedStderr(), "");
}

// In a child: signals and their handlers belong to the whole process.
TEST(InterruptDeathTest, TheFirstSignalSetsTheFlag) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        check_interrupt();
        if (interrupted()) std::_Exit(1);
        std::raise(SIGINT);
        if (!interrupted()) std::_Exit(2);
        try {
          check_interrupt();
        } catch (const Error& error) {
          std::_Exit(std::string(error.what()) == "interrupted" ? 42 : 3);
        }
        std::_Exit(4);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST(InterruptDeathTest, AHangupIsAnInterruptUnlessItIsIgnored) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const bool ignored : {false, true}) {
    EXPECT_EXIT(
        {
          std::signal(SIGHUP, ignored ? SIG_IGN : SIG_DFL);
          install_interrupt_handler();
          std::raise(SIGHUP);
          std::_Exit(interrupted() == ignored ? 1 : 42);
        },
        ::testing::ExitedWithCode(42), "");
  }
}

TEST(InterruptDeathTest, AHangupThatIsKeptIsTakenOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        keep_hangups();
        for (int i = 0; i < 3; ++i) std::raise(SIGHUP);
        const bool taken = take_hangup() && !take_hangup();
        std::_Exit(taken && !interrupted() ? 42 : 1);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST(InterruptDeathTest, OneThatComesTwiceAtOnceIsOne) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        std::raise(SIGTERM);
        std::raise(SIGTERM);
        std::_Exit(interrupted() ? 42 : 1);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST(InterruptDeathTest, TheSecondSignalEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        std::raise(SIGINT);
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
        std::raise(SIGINT);
        std::_Exit(0);
      },
      ::testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        std::raise(SIGINT);
        std::raise(SIGTERM);
        std::_Exit(0);
      },
      ::testing::KilledBySignal(SIGTERM), "incipit: ended at once by a second signal; what was not finished is lost");
}

}  // namespace
}  // namespace incipit
