import Glibc

// The kernel's switches and the rights of this process.
extension Preflight {
  /// Whether io_uring may be used, and a queue bound.
  ///
  /// - Parameter isRoot: of the initial user namespace.
  public static func rights(_ host: RegistrationHost, isRoot: Bool) -> [Finding] {
    let none = RegistrationWish(target: nil, areaBytes: 0, memory: .pages, refillEntries: 0)
    let scene = RegistrationScene(wish: none, host: host, state: nil)
    let uring = "kernel.io_uring_disabled"
    let capability = "CAP_NET_ADMIN"
    return [
      scene.obstacle(.ioUring).map { Finding(blocks: $0, subject: uring) }
        ?? allowed(scene, uring, isRoot: isRoot),
      scene.obstacle(.capability).map { Finding(blocks: $0, subject: capability) }
        ?? Finding(.ok, capability, "held"),
    ]
  }

  private static func allowed(
    _ scene: RegistrationScene, _ subject: String, isRoot: Bool
  ) -> Finding {
    guard scene.host.ioUringDisabled == 1 else {
      return Finding(.ok, subject, "\(scene.host.ioUringDisabled): everyone may use io_uring")
    }
    if isRoot { return Finding(.ok, subject, "1: root may use io_uring") }
    let known = scene.possibility(.ioUring, EPERM)
    return Finding(.warning, subject, known?.what ?? "1", remedy: known?.remedy)
  }

  /// How much memory may be locked, whatever the area.
  public static func lockedMemory(_ host: RegistrationHost) -> Finding {
    let subject = "locked memory"
    if host.hasLockRight { return Finding(.ok, subject, "not limited: CAP_IPC_LOCK is held") }
    guard let limit = host.lockLimit else { return Finding(.ok, subject, "not limited") }
    return Finding(
      .warning, subject,
      "\(sizeText(limit)) may be locked by all processes of this user; areas count, with their "
        + "refill rings",
      remedy: "`ulimit -l unlimited` in its shell or LimitMEMLOCK=infinity in its systemd unit")
  }
}
