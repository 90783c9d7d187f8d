#include <chorus/client/builtin_trainer.hpp>
#include <chorus/client/client.hpp>
#include <cstdio>

using namespace chorus::client;

int run(int argc, char** argv) {
  const auto failed = [](const chorus::Failure& why) {
    std::fprintf(stderr, "%s\n", why.to_string().c_str());
    return 1;
  };
  if (argc == 4) {  // once: the join token becomes this device's identity
    if (auto name = enroll({argv[3], argv[1], ""}); !name) return failed(name.error());
  }
  CsvOptions csv;
  csv.path = argv[2];  // numbers, one example a line, the label last
  auto data = load_csv(csv);
  if (!data) return failed(data.error());
  auto trainer = make_builtin_trainer({data->dataset, data->dataset});
  ClientOptions options;
  options.state = argv[1];
  auto client = Client::create(options);
  if (!client) return failed(client.error());
  auto summary = (*client)->run(*trainer);  // until the server has no more for this device
  return summary ? 0 : failed(summary.error());
}
int main(int argc, char** argv) {
  if (argc == 3 || argc == 4) return run(argc, argv);
  return std::puts("usage: chorus-minimal STATE_FOLDER DATA.csv [JOIN_TOKEN]"), 2;
}
