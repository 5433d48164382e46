#include "cli/args.h"

#include "gtest/gtest.h"

namespace berth {
namespace {

const std::vector<Option> kOptions = {{"detach", 'd', "", ""}, {"env", 'e', "NAME=VALUE", ""}, {"name", 0, "NAME", ""}};

TEST(Args, TakesOptionsInEveryForm) {
  const Args args = *Args::Parse({"-d", "-e", "A=1", "--env=B=2", "-eC=3", "--name", "x", "image"}, kOptions);
  EXPECT_TRUE(args.Has("detach"));
  EXPECT_EQ(args.All("env"), (std::vector<std::string>{"A=1", "B=2", "C=3"}));
  EXPECT_EQ(args.Get("name"), "x");
  EXPECT_EQ(args.Get("missing", "y"), "y");
  EXPECT_EQ(args.operands(), std::vector<std::string>{"image"});
}

TEST(Args, JoinedLettersEndWithTheOneThatTakesAValue) {
  const Args args = *Args::Parse({"-deA=1"}, kOptions);
  EXPECT_TRUE(args.Has("detach"));
  EXPECT_EQ(args.Get("env"), "A=1");
}

TEST(Args, WordsOfTheProgramAreItsOwn) {
  EXPECT_EQ(Args::Parse({"image", "ls", "-d"}, kOptions, 1)->operands(),
            (std::vector<std::string>{"image", "ls", "-d"}));
  EXPECT_EQ(Args::Parse({"--", "-d"}, kOptions)->operands(), std::vector<std::string>{"-d"});
}

TEST(Args, NamesWhatIsWrong) {
  EXPECT_EQ(Args::Parse({"--nam", "x"}, kOptions).status().message(), "unknown option --nam");
  EXPECT_EQ(Args::Parse({"-x"}, kOptions).status().message(), "unknown option -x");
  EXPECT_EQ(Args::Parse({"--name"}, kOptions).status().message(), "option --name needs a value: NAME");
  EXPECT_EQ(Args::Parse({"--detach=1"}, kOptions).status().message(), "option --detach takes no value");
}

}  // namespace
}  // namespace berth
