#include "tests/sim/sim_disk.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/try.hpp"

namespace chorus::sim {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kSector = 512;  // never torn

/// "/a/b" of "/a/b/c": std::filesystem::path takes a path to pieces for that.
std::string_view parent_of(std::string_view name) {
  return name.substr(0, std::max<std::size_t>(name.rfind('/'), 1));
}

Failure failed(errc code, const char* doing, const fs::path& path) {
  return fail(code, std::string(doing) + " '" + path.string() + "': simulated");
}

}  // namespace

/// A file, or a folder.
struct SimDisk::Inode {
  /// Not on the disk yet: data, or a cut to `end`.
  struct Change {
    std::uint64_t offset = 0;
    std::vector<std::byte> data;
    std::optional<std::uint64_t> end;
  };

  bool folder = false;
  std::vector<std::byte> now;
  std::vector<std::byte> durable;
  std::vector<Change> pending;

  static void apply(std::vector<std::byte>& bytes, const Change& change) {
    if (change.end) {
      bytes.resize(*change.end);
      return;
    }
    const std::uint64_t end = change.offset + change.data.size();
    if (bytes.size() < end) bytes.resize(end);
    std::copy(change.data.begin(),
              change.data.end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(change.offset));
  }
  void change(Change change) {
    apply(now, change);
    pending.push_back(std::move(change));
  }
  void settle() {
    for (const Change& change : pending) apply(durable, change);
    pending.clear();
  }
};

/// Names that become others in one step.
struct SimDisk::NameChange {
  std::vector<std::pair<std::string, std::shared_ptr<Inode>>> names;  ///< null: no more

  bool touches_folder(const std::string& folder) const {
    return std::any_of(names.begin(), names.end(), [&](const auto& name) {
      return parent_of(name.first) == folder;
    });
  }
};

struct SimDisk::State {
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  explicit State(std::uint64_t seed) : rng(seed) {}

  Rng rng;
  Names now;
  Names durable;
  std::vector<NameChange> pending;
  std::uint64_t operations = 0;
  std::uint64_t process = 0;  ///< the present one's number
  bool alive = false;
  std::uint64_t die_in = 0;  ///< DiskWorks; 0: not planned
  std::function<void()> died;

  static void apply(Names& names, const NameChange& change) {
    for (const auto& [name, inode] : change.names) {
      if (inode == nullptr) {
        names.erase(name);
      } else {
        names[name] = inode;
      }
    }
  }
  void rename(NameChange change) {
    apply(now, change);
    pending.push_back(std::move(change));
  }
  void settle_folder(const std::string& folder) {
    std::vector<NameChange> left;
    for (NameChange& change : pending) {
      if (change.touches_folder(folder)) {
        apply(durable, change);
      } else {
        left.push_back(std::move(change));
      }
    }
    pending = std::move(left);
  }

  bool happens(double chance) { return chance > 0.0 && rng.uniform() < chance; }
  void lose_names();
  void lose_data(Inode& inode);
  void tear(Inode::Change& change);
};

// Either a journal's beginning is on the disk, or single changes are; none whose name an earlier
// lost one has made.
void SimDisk::State::lose_names() {
  const bool in_order = rng.below(2) == 0;
  const std::uint64_t first_lost = rng.below(pending.size() + 1);
  std::set<std::string> lost;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    const bool kept_by_chance = rng.below(3) != 0;
    bool kept = in_order ? i < first_lost : kept_by_chance;
    for (const auto& [name, inode] : pending[i].names) {
      // A folder goes after what is in it, and comes before.
      const auto inside = lost.lower_bound(name + "/");
      const bool child = inside != lost.end() && inside->starts_with(name + "/");
      kept = kept && !lost.contains(name) && !child && !lost.contains(std::string(parent_of(name)));
    }
    if (kept) {
      apply(durable, pending[i]);
    } else {
      for (const auto& [name, inode] : pending[i].names) lost.insert(name);
    }
  }
  pending.clear();
  now = durable;
}

// Whole sectors of a write reach the disk, in any order; one that did not may hold anything.
void SimDisk::State::tear(Inode::Change& change) {
  if (change.data.empty()) return;
  const std::uint64_t first = kSector - change.offset % kSector;
  const std::uint64_t sectors = 1 + (change.data.size() + kSector - 1 - first % kSector) / kSector;
  const std::uint64_t kept = rng.below(sectors + 1);
  const std::uint64_t bytes = kept == 0 ? 0 : first + (kept - 1) * kSector;
  if (bytes < change.data.size()) change.data.resize(bytes);
  if (!change.data.empty() && rng.below(4) == 0) {
    const std::uint64_t at = rng.below(change.data.size());
    change.data[at] ^= std::byte{0x10};
  }
}

void SimDisk::State::lose_data(Inode& inode) {
  const std::uint64_t manner = rng.below(4);
  const std::uint64_t first_lost = rng.below(inode.pending.size() + 1);
  for (std::size_t i = 0; i < inode.pending.size(); ++i) {
    const bool kept_by_chance = rng.below(2) == 0;
    bool kept = manner == 1;                 // all of them
    if (manner == 2) kept = i < first_lost;  // the first ones
    if (manner == 3) kept = kept_by_chance;  // any
    if (manner == 2 && i == first_lost) {
      tear(inode.pending[i]);
      kept = !inode.pending[i].data.empty();
    }
    if (kept) Inode::apply(inode.durable, inode.pending[i]);
  }
  inode.pending.clear();
  inode.now = inode.durable;
}

/// An open file.
class SimDisk::Handle final : public File {
 public:
  Handle(std::shared_ptr<View> view, std::shared_ptr<Inode> inode, const fs::path& path)
      : File(path), view_(std::move(view)), inode_(std::move(inode)) {}

  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override;
  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> write_both(std::uint64_t offset,
                          std::span<const std::byte> first,
                          std::span<const std::byte> second) override {
    std::vector<std::byte> both(first.begin(), first.end());
    both.insert(both.end(), second.begin(), second.end());
    return write(offset, both);
  }
  Result<std::uint64_t> size() const override;
  Result<void> truncate(std::uint64_t bytes) override;
  Result<void> reserve(std::uint64_t begin, std::uint64_t end) override;
  Result<void> sync() override;
  void start_writeback(std::uint64_t /*begin*/, std::uint64_t /*end*/) override {}
  void forget(std::uint64_t /*end*/) const override {}

 private:
  std::shared_ptr<View> view_;
  std::shared_ptr<Inode> inode_;
};

/// One process's view.
class SimDisk::View final : public Disk, public std::enable_shared_from_this<View> {
 public:
  using Disk::make_folder;
  using Disk::open;

  View(SimDisk& disk, std::uint64_t process) : disk_(disk), process_(process) {}

  bool alive() const { return disk_.state_->alive && disk_.state_->process == process_; }
  State& state() const { return *disk_.state_; }
  const DiskFaults& faults() const { return disk_.faults; }

  /// Where a DiskWork may end the process.
  enum class Fate : std::uint8_t { done, before, within, after };
  Result<Fate> begin(DiskWork work, std::uint64_t offset, std::uint64_t bytes, const fs::path& of);
  /// @returns whether the process is still there
  Result<void> end(Fate fate, const fs::path& of) const {
    if (fate == Fate::done) return {};
    return failed(errc::io_failed, "the process died at", of);
  }
  Result<void> reading(const fs::path& path) const {
    if (!alive()) return failed(errc::io_failed, "a dead process reads", path);
    if (state().happens(faults().read)) return failed(errc::io_failed, "reading", path);
    return {};
  }
  bool ignores_sync(const fs::path& path) const {
    return disk_.lies.ignores_sync && disk_.lies.ignores_sync(path);
  }

  Result<std::unique_ptr<File>> open(const fs::path& path, FileUse use, unsigned mode) override;
  Result<void> rename(const fs::path& from, const fs::path& to) override;
  Result<void> remove(const fs::path& file) override;
  Result<void> remove_folder(const fs::path& folder) override;
  Result<void> make_folder(const fs::path& folder, unsigned mode) override;
  Result<void> sync_folder(const fs::path& folder) override;
  Result<bool> exists(const fs::path& path) const override;
  Result<std::vector<fs::path>> list(const fs::path& folder) const override;
  Result<std::unique_ptr<FolderLock>> lock(const fs::path& folder) override;

 private:
  SimDisk& disk_;
  std::uint64_t process_;
};

Result<SimDisk::View::Fate> SimDisk::View::begin(DiskWork work,
                                                 std::uint64_t offset,
                                                 std::uint64_t bytes,
                                                 const fs::path& of) {
  if (!alive()) return failed(errc::io_failed, "a dead process changes", of);
  State& disk = state();
  ++disk.operations;
  if (disk_.observer) disk_.observer(work, offset, bytes);
  if (disk.die_in == 0 || --disk.die_in > 0) return Fate::done;
  disk.alive = false;
  if (disk.died) disk.died();
  const std::uint64_t how = disk.rng.below(3);
  if (how == 0) return failed(errc::io_failed, "the process died before", of);
  return how == 1 ? Fate::within : Fate::after;
}

// ---- files ----

Result<void> SimDisk::Handle::read(std::uint64_t offset, std::span<std::byte> into) const {
  CHORUS_OK(view_->reading(path()));
  const auto& bytes = inode_->now;
  if (offset > bytes.size() || into.size() > bytes.size() - offset) {
    return fail(errc::corrupt_data, "'" + path().string() + "' ends early");
  }
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
  return {};
}

Result<void> SimDisk::Handle::write(std::uint64_t offset, std::span<const std::byte> data) {
  CHORUS_TRY(const auto fate, view_->begin(DiskWork::write, offset, data.size(), path()));
  State& disk = view_->state();
  std::size_t written = data.size();
  std::optional<Failure> why;
  if (fate == View::Fate::within) written = disk.rng.below(data.size() + 1);
  if (view_->faults().full && offset + data.size() > inode_->now.size()) {
    const std::uint64_t room = inode_->now.size() > offset ? inode_->now.size() - offset : 0;
    written = std::min<std::size_t>(written, room);
    why = failed(errc::disk_full, "writing", path());
  } else if (disk.happens(view_->faults().write)) {
    written = disk.rng.below(written + 1);
    why = failed(errc::io_failed, "writing", path());
  }
  if (written > 0) {
    inode_->change(
        {offset, {data.begin(), data.begin() + static_cast<std::ptrdiff_t>(written)}, {}});
  }
  if (why) return *why;
  return view_->end(fate, path());
}

Result<std::uint64_t> SimDisk::Handle::size() const {
  CHORUS_OK(view_->reading(path()));
  return inode_->now.size();
}

Result<void> SimDisk::Handle::truncate(std::uint64_t bytes) {
  CHORUS_TRY(const auto fate, view_->begin(DiskWork::truncate, bytes, 0, path()));
  if (fate != View::Fate::within) inode_->change({0, {}, bytes});
  return view_->end(fate, path());
}

Result<void> SimDisk::Handle::reserve(std::uint64_t /*begin*/, std::uint64_t end) {
  CHORUS_OK(view_->reading(path()));
  if (view_->faults().full && end > inode_->now.size()) {
    return failed(errc::disk_full, "reserving space for", path());
  }
  return {};
}

Result<void> SimDisk::Handle::sync() {
  CHORUS_TRY(const auto fate, view_->begin(DiskWork::sync, 0, 0, path()));
  State& disk = view_->state();
  if (disk.happens(view_->faults().sync)) {
    inode_->pending.clear();  // the cache has it still, and takes it for written
    return failed(errc::io_failed, "syncing", path());
  }
  if (fate == View::Fate::within) {
    const std::uint64_t count = disk.rng.below(inode_->pending.size() + 1);
    auto first_left = inode_->pending.begin() + static_cast<std::ptrdiff_t>(count);
    for (auto change = inode_->pending.begin(); change != first_left; ++change) {
      Inode::apply(inode_->durable, *change);
    }
    inode_->pending.erase(inode_->pending.begin(), first_left);
  } else if (!view_->ignores_sync(path())) {
    inode_->settle();
  }
  return view_->end(fate, path());
}

// ---- names ----

Result<std::unique_ptr<File>> SimDisk::View::open(const fs::path& path,
                                                  FileUse use,
                                                  unsigned /*mode*/) {
  CHORUS_OK(reading(path));
  State& disk = state();
  const auto found = disk.now.find(path.string());
  const bool there = found != disk.now.end() && !found->second->folder;
  const bool may_make = use == FileUse::keep || use == FileUse::replace;
  if (!there && !may_make) return failed(errc::not_found, "opening", path);
  if (there && use != FileUse::replace) {
    return std::unique_ptr<File>(std::make_unique<Handle>(shared_from_this(), found->second, path));
  }
  const fs::path parent = path.parent_path();
  if (!there && parent != path.root_path() && !disk.now.contains(parent.string())) {
    return failed(errc::not_found, "opening", path);
  }
  CHORUS_TRY(const auto fate, begin(DiskWork::make, 0, 0, path));
  if (!there && faults().full) return failed(errc::disk_full, "making", path);
  auto inode = there ? found->second : std::make_shared<Inode>();
  if (fate != Fate::within) {
    if (there) {
      inode->change({0, {}, 0});
    } else {
      disk.rename({{{path.string(), inode}}});
    }
  }
  CHORUS_OK(end(fate, path));
  return std::unique_ptr<File>(std::make_unique<Handle>(shared_from_this(), inode, path));
}

Result<void> SimDisk::View::rename(const fs::path& from, const fs::path& to) {
  CHORUS_TRY(const auto fate, begin(DiskWork::rename, 0, 0, from));
  State& disk = state();
  const auto found = disk.now.find(from.string());
  if (found == disk.now.end()) return failed(errc::not_found, "renaming", from);
  NameChange change;
  change.names.emplace_back(from.string(), nullptr);
  change.names.emplace_back(to.string(), found->second);
  const std::string inside = from.string() + "/";
  for (const auto& [name, inode] : disk.now) {
    if (!name.starts_with(inside)) continue;
    change.names.emplace_back(name, nullptr);
    change.names.emplace_back(to.string() + "/" + name.substr(inside.size()), inode);
  }
  if (fate != Fate::within) disk.rename(std::move(change));
  return end(fate, from);
}

Result<void> SimDisk::View::remove(const fs::path& file) {
  CHORUS_OK(reading(file));
  State& disk = state();
  const auto found = disk.now.find(file.string());
  if (found == disk.now.end()) return failed(errc::not_found, "removing", file);
  CHORUS_TRY(const auto fate, begin(DiskWork::remove, 0, 0, file));
  if (fate != Fate::within) disk.rename({{{file.string(), nullptr}}});
  return end(fate, file);
}

Result<void> SimDisk::View::remove_folder(const fs::path& folder) {
  CHORUS_OK(reading(folder));
  State& disk = state();
  const std::string inside = folder.string() + "/";
  std::vector<std::string> names;
  for (const auto& [name, inode] : disk.now) {
    if (name.starts_with(folder.string()) &&
        (name.size() + 1 == inside.size() || name.starts_with(inside))) {
      names.push_back(name);
    }
  }
  std::reverse(names.begin(), names.end());  // what is in a folder before it
  for (const std::string& name : names) CHORUS_OK(remove(name));
  return {};
}

Result<void> SimDisk::View::make_folder(const fs::path& folder, unsigned mode) {
  CHORUS_OK(reading(folder));
  State& disk = state();
  if (folder.empty() || folder == folder.root_path()) return {};
  if (!disk.now.contains(folder.string())) {
    CHORUS_OK(make_folder(folder.parent_path(), mode));
    CHORUS_TRY(const auto fate, begin(DiskWork::make, 0, 0, folder));
    auto inode = std::make_shared<Inode>();
    inode->folder = true;
    if (fate != Fate::within) disk.rename({{{folder.string(), inode}}});
    CHORUS_OK(end(fate, folder));
  }
  return sync_folder(folder.parent_path());
}

Result<void> SimDisk::View::sync_folder(const fs::path& folder) {
  CHORUS_TRY(const auto fate, begin(DiskWork::sync_folder, 0, 0, folder));
  State& disk = state();
  if (disk.happens(faults().sync)) return failed(errc::io_failed, "syncing folder", folder);
  if (fate != Fate::within && !disk_.lies.ignores_folder_sync) disk.settle_folder(folder.string());
  return end(fate, folder);
}

Result<bool> SimDisk::View::exists(const fs::path& path) const {
  CHORUS_OK(reading(path));
  return state().now.contains(path.string());
}

Result<std::vector<fs::path>> SimDisk::View::list(const fs::path& folder) const {
  CHORUS_OK(reading(folder));
  if (!state().now.contains(folder.string())) return failed(errc::not_found, "listing", folder);
  std::vector<fs::path> paths;
  const std::string inside = folder.string() + "/";
  const auto& names = state().now;
  for (auto at = names.lower_bound(inside); at != names.end(); ++at) {
    if (!at->first.starts_with(inside)) break;
    if (parent_of(at->first).size() + 1 == inside.size()) paths.emplace_back(at->first);
  }
  return paths;
}

Result<std::unique_ptr<FolderLock>> SimDisk::View::lock(const fs::path& folder) {
  CHORUS_OK(reading(folder));
  return std::make_unique<FolderLock>();  // there is one process at a time
}

// ---- the machine ----

SimDisk::SimDisk(std::uint64_t seed) : state_(std::make_unique<State>(seed)) {}
SimDisk::~SimDisk() = default;

std::shared_ptr<Disk> SimDisk::process() {
  CHORUS_ASSERT(!state_->alive);
  state_->alive = true;
  state_->die_in = 0;
  return std::make_shared<View>(*this, ++state_->process);
}

void SimDisk::kill() {
  state_->alive = false;
  state_->die_in = 0;
}

void SimDisk::power_cut() {
  kill();
  std::set<Inode*> inodes;
  const State::Names before = state_->now;
  state_->lose_names();
  for (const auto& [name, inode] : state_->now) inodes.insert(inode.get());
  // In the order of names, not of addresses.
  for (const auto& [name, inode] : state_->now) {
    if (inodes.erase(inode.get()) > 0) state_->lose_data(*inode);
  }
}

void SimDisk::die_at(std::uint64_t work, std::function<void()> died) {
  state_->die_in = work;
  state_->died = std::move(died);
}

bool SimDisk::is_alive() const noexcept {
  return state_->alive;
}

std::uint64_t SimDisk::operations() const noexcept {
  return state_->operations;
}

}  // namespace chorus::sim
