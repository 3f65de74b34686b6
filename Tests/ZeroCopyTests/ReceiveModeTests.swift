import Glibc
import Testing

@testable import ZeroCopy

/// What is asked of kernels that this machine may not run.
@Suite struct ReceiveModeTests {
  private static func features(bundles: Bool, incrementalBundles: Bool) -> Ring.Features {
    Ring.Features(
      bundles: bundles, minimumWait: false, incrementalBundles: incrementalBundles,
      deferredTaskRun: true)
  }

  /// 6.0 has neither; 6.10 to 6.14 have bundles, from 6.12 on beside incremental buffers but not
  /// of them; 6.15 has both.
  @Test func bundlesAreAskedForWhereTheyCount() {
    let old = Self.features(bundles: false, incrementalBundles: false)
    let between = Self.features(bundles: true, incrementalBundles: false)
    let new = Self.features(bundles: true, incrementalBundles: true)
    for features in [old, between, new] {
      #expect(!CopyEngineOptions.Mode.plain.usesBundles(with: features))
    }
    #expect(!CopyEngineOptions.Mode.bundle.usesBundles(with: old))
    #expect(CopyEngineOptions.Mode.bundle.usesBundles(with: between))
    #expect(!CopyEngineOptions.Mode.incremental.usesBundles(with: between))
    #expect(CopyEngineOptions.Mode.incremental.usesBundles(with: new))
  }

  @Test func aModeThatTheKernelLacksNamesTheKernelThatHasIt() {
    let mode = CopyEngineOptions.Mode.incremental
    let error = RingError("register a ring", errno: EINVAL, kernel: mode.kernel)
    #expect(error.remedy?.contains("Linux 6.12") == true)
  }
}
