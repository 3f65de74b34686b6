import CIngestKernel

// The io_uring_register(2) calls of zero-copy receive; errnos are positive, 0 is success.
extension Ring {
  func register(_ binding: inout ik_zcrx_binding) -> Int32 {
    if let simulation = unsafe simulation {
      return unsafe -simulation.register(simulation.context, &binding)
    }
    return -(unsafe ik_zcrx_register(ring, &binding))
  }

  func importQueue(_ exported: Int32, _ binding: inout ik_zcrx_binding) -> Int32 {
    -(unsafe ik_zcrx_import(ring, exported, &binding))
  }

  /// A descriptor, or a negative errno.
  func exportQueue(_ id: UInt32) -> Int32 { unsafe ik_zcrx_export(ring, id) }

  /// Has the kernel read the refill ring now.
  func flushRefill(_ id: UInt32) -> Int32 {
    if let simulation = unsafe simulation { return unsafe -simulation.flush(simulation.context) }
    return -(unsafe ik_zcrx_flush(ring, id))
  }

  func armEvent(_ id: UInt32, _ event: UInt32) -> Int32 {
    if let simulation = unsafe simulation {
      return unsafe -simulation.armEvent(simulation.context, event)
    }
    return -(unsafe ik_zcrx_arm_event(ring, id, event))
  }

  @unsafe
  func mapRegion(
    _ binding: ik_zcrx_binding, _ address: inout UnsafeMutableRawPointer?
  ) -> Int32 {
    var binding = binding
    return -(unsafe ik_zcrx_map_region(ring, &binding, &address))
  }

  /// The errno of a control call on an interface queue that does not exist: ENXIO where zero-copy
  /// receive is compiled in, EOPNOTSUPP where not, EINVAL before 6.19.
  func probeZeroCopy() -> Int32 { -(unsafe ik_zcrx_probe(ring)) }
}
