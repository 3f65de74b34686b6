/// What `ingest saturate` found, as it stands in a document.
package struct SaturationPart: Encodable, Sendable {
  package var finding: SaturationFinding
  package var evidence: SaturationEvidence
  package var costs: CapacityCosts
  /// What the costs predict for this run, to be compared with what it came to.
  package var expected: CapacityPlan
  package var measuredBitsPerSecond: Double
  /// What they predict for the NIC that --rate, --mtu and --buffer name.
  package var plan: CapacityPlan?

  package init(
    finding: SaturationFinding, evidence: SaturationEvidence, costs: CapacityCosts,
    expected: CapacityPlan, plan: CapacityPlan?
  ) {
    self.finding = finding
    self.evidence = evidence
    self.costs = costs
    self.expected = expected
    self.plan = plan
    measuredBitsPerSecond = evidence.bitsPerSecond
  }
}
