import NICControl

extension ReceiveConfiguration {
  /// What this receiver wants of its interface; nil where it has none to set up.
  ///
  /// A virtual interface that stands for queues of a NIC elsewhere is that one's owner's to set up.
  func nicWish(_ plan: EnginePlan, _ places: ListenPlaces) throws(IngestError) -> NICWish? {
    guard nic == .apply, case .zeroCopy(_, let queues) = plan.engine, let ifname else { return nil }
    let link: Link
    do throws(NetlinkError) {
      link = try NICAccess().link(named: ifname)
    } catch {
      throw IngestError(NICPlanError(error))
    }
    if link.kind == "netkit" { return nil }
    guard port != 0 else {
      throw IngestError(
        .usage, "with --port 0 nobody knows which connections to steer to the queue",
        remedy: "name a port, or leave the NIC as it is with --nic keep")
    }
    return NICWish(queues: queues, flows: places.flows(family))
  }
}
