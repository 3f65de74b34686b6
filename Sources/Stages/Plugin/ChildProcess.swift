package import Glibc

/// Processes of this very program, started for one task.
package enum ChildProcess {
  /// A process in a session of its own, which a terminal's ^C does not reach; a negative errno
  /// where there is none. Of the open descriptors it gets those in `keeping`.
  ///
  /// - Parameter inPlace: instead it takes this one's place before the user: the same session and
  ///   standard descriptors.
  package static func spawn(
    _ path: String, _ words: [String], keeping: [Int32], inPlace: Bool = false
  ) -> pid_t {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    if !inPlace {
      unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
      // Records may go to standard output.
      unsafe posix_spawn_file_actions_adddup2(&actions, 2, 1)
    }
    for descriptor in keeping {
      // Onto itself: it then stays open.
      unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, descriptor)
    }
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    // POSIX_SPAWN_SETSID, which spawn.h has for _GNU_SOURCE only.
    let flags = POSIX_SPAWN_SETSIGMASK | (inPlace ? 0 : 0x80)
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
    var vector = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe vector.forEach { unsafe free($0) } }
    var child: pid_t = 0
    let error = unsafe posix_spawn(&child, path, &actions, &attributes, &vector, environ)
    return error == 0 ? child : -error
  }

  /// A pair of sockets that keep messages apart, closed on exec; nil sets errno.
  package static func sockets() -> (Int32, Int32)? {
    var pair: [Int32] = [-1, -1]
    let kind = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
    guard unsafe socketpair(AF_UNIX, kind, 0, &pair) == 0 else { return nil }
    return (pair[0], pair[1])
  }

  /// Waits for a process to end; what waitpid(2) says of it.
  @discardableResult
  package static func wait(for process: pid_t) -> Int32 {
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return status
  }
}
