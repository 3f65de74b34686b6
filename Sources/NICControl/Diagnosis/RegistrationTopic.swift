/// What the checks of a registration are about.
public enum RegistrationTopic: CaseIterable, Sendable {
  // Refused where they are not as they must be.
  case ioUring, kernel, capability, lockedMemory, request, area, buffers
  case interface, hardware, driver, link, queue, headerSplit, threshold, xdp, owner
  // Not the kernel's business when it registers, but where connections arrive by.
  case ntuple, scaling, rules
}

extension RegistrationDiagnosis {
  /// As ``obstacle(to:host:state:)``, among the checks of one topic.
  public static func obstacle(
    _ topic: RegistrationTopic, to wish: RegistrationWish, host: RegistrationHost,
    state: NICState?
  ) -> RegistrationDiagnosis? {
    RegistrationScene(wish: wish, host: host, state: state).obstacle(topic)
  }
}

extension RegistrationScene {
  /// What will be refused, without anything being tried.
  func obstacle(_ topic: RegistrationTopic) -> RegistrationDiagnosis? {
    RegistrationCheck.inKernelOrder.lazy.filter { $0.topic == topic }
      .compactMap { $0.find(self) }.first { $0.isForeseen }?.diagnosis
  }

  /// What may be refused with this errno, as far as is known.
  func possibility(_ topic: RegistrationTopic, _ errno: Int32) -> RegistrationDiagnosis? {
    RegistrationCheck.inKernelOrder.lazy
      .filter { $0.topic == topic && $0.errnos.contains(errno) }
      .compactMap { $0.find(self) }.first?.diagnosis
  }
}
