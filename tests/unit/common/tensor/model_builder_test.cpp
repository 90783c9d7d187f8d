#include "chorus/model_builder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace chorus {
namespace {

TEST(ModelBuilder, WritesWhatOneReads) {
  const auto model = ModelBuilder({1, 28, 28})
                         .conv2d(32, {.kernel = 5, .padding = 2})
                         .relu()
                         .max_pool2d()
                         .flatten()
                         .dropout(0.25)
                         .dense(10)
                         .named("head")
                         .loss(Loss::softmax_cross_entropy, {0.1, {}, 1.0})
                         .build();
  ASSERT_TRUE(model) << model.error().detail;
  const ModelSpec expected{{1, 28, 28},
                           {Conv2d{"", 32, 5, 1, 2},
                            Relu{},
                            MaxPool2d{2, 2},
                            Flatten{},
                            Dropout{0.25},
                            Dense{"head", 10}},
                           Loss::softmax_cross_entropy,
                           {0.1, {}, 1.0}};
  EXPECT_EQ(*model, expected);
}

TEST(ModelBuilder, ResidualBlocksNameTheirOwnMarks) {
  const auto model =
      ModelBuilder({4, 8, 8})
          .residual([](ModelBuilder& x) { x.conv2d(4, {.padding = 1}).relu(); })
          .residual(
              [](ModelBuilder& x) {
                x.conv2d(8, {.stride = 2, .padding = 1, .bias = false}).group_norm(4);
              },
              [](ModelBuilder& x) { x.conv2d(8, {.kernel = 1, .stride = 2}); })
          .global_avg_pool()
          .dense(2)
          .build();
  ASSERT_TRUE(model) << model.error().detail;
  const std::vector<Layer> expected{Mark{"x1"},
                                    Conv2d{"", 4, 3, 1, 1},
                                    Relu{},
                                    Add{"x1"},
                                    Mark{"x2"},
                                    Conv2d{"", 8, 3, 2, 1, 1, 1, false},
                                    GroupNorm{"", 4},
                                    Mark{"x3"},
                                    Branch{"x2"},
                                    Conv2d{"", 8, 1, 2},
                                    Add{"x3"},
                                    GlobalAvgPool{},
                                    Dense{"", 2}};
  EXPECT_EQ(model->layers, expected);
}

TEST(ModelBuilder, TakesAnyLayer) {
  const auto model =
      ModelBuilder({80}).then(Embedding{"", 90, 8}).then(Lstm{"", 16}).dense(90).build();
  ASSERT_TRUE(model) << model.error().detail;
  EXPECT_EQ(model->layers.size(), 3U);
}

TEST(ModelBuilder, SaysWhatDoesNotFit) {
  const auto model = ModelBuilder({1, 8, 8}).dense(10).build();
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().detail, testing::HasSubstr("put a flatten layer before it"));
  EXPECT_FALSE(ModelBuilder({8}).build());
  EXPECT_FALSE(ModelBuilder({8}).named("nobody").build());
  EXPECT_FALSE(ModelBuilder({4, 8, 8})
                   .residual([](ModelBuilder& x) { x.conv2d(5, {}); })
                   .flatten()
                   .dense(2)
                   .build());
}

}  // namespace
}  // namespace chorus
