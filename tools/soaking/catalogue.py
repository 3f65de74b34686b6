"""The faults that a soak mixes: what each does, when it fits, and what may come of it."""
import faults_ending
import faults_nic
import faults_run

FAULTS = [*faults_nic.FAULTS, *faults_run.FAULTS, *faults_ending.FAULTS]
BY_NAME = {fault.name: fault for fault in FAULTS}
