import CIngestKernel
import Glibc
public import NICControl
import RingCore
import ZeroCopy

/// Looks at the machine and explains it.
public enum Doctor {
  /// Everything that is known about the kernel, in order of need.
  ///
  /// - Cost: some reads of /proc and a handful of system calls; nothing is changed.
  public static func kernel() -> [Finding] {
    let host = RegistrationHost.current(KernelFeatures())
    return KernelFindings.all(host) + [Preflight.lockedMemory(host)]
  }

  /// The kernel, and everything on which receiving as configured depends: memory, interface,
  /// driver, each queue, and what leads to it. The engine is taken to be `zcrx`.
  ///
  /// Something blocks where, and only where, a start with the same configuration is refused, and
  /// says the same; what the drivers alone know comes as a warning.
  ///
  /// Errors: values that make no sense, as of ``Receiver``.
  ///
  /// - Parameter binds: also binds each queue for a moment, over the path of TCP devmem, to hear
  ///   the kernel's own words. This restarts the queue twice; without it nothing is changed.
  /// - Cost: about 20 netlink requests, one for each n-tuple rule, and files of /proc and /sys.
  public static func receive(
    _ configuration: ReceiveConfiguration, binds: Bool = false
  ) throws(IngestError) -> [Finding] {
    let features = KernelFeatures()
    let host = RegistrationHost.current(features)
    let kernel = KernelFindings.all(host)
    let examination = try NICExamination(configuration, host)
    return kernel + examination.findings(binds: binds)
  }
}
