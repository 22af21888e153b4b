package build

import "time"

// The examples of the OpenAPI document, as values of the types they show.
var (
	exampleTime   = time.Date(2024, 2, 1, 10, 30, 0, 0, time.UTC)
	exampleState  = StateRow{ID: "018d64e2-6b20-7d4f-8a63-2e3d4c5b6a79", BuildID: exampleBuild.ID, StateCode: 45, State: 45, Status: InProgress, Message: "Mounting volumes", StartTime: exampleTime, Attempt: 1, Timestamp: exampleTime, CreatedAt: exampleTime}.show()
	exampleBuild  = Build{ID: "018d64e2-5a10-7c3e-9f52-1d2c3b4a5968", Number: "2024.02.001", ProjectID: "018d64e2-0000-7000-8000-000000000001", PlatformID: "aws-commercial", OSVersionID: "rhel-9.3", ImageTypeID: "base", Current: 45, Status: InProgress, Attempt: 1, Rev: 8, CreatedBy: "ci", CreatedAt: exampleTime, UpdatedAt: exampleTime, StartTime: &exampleTime}
	exampleCreate = map[string]any{"project_id": "rhel-9", "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base",
		"build_number": "2024.02.001", "build_metadata": map[string]any{"commit_sha": "abc123"}}
	exampleReport    = map[string]any{"state_code": 45, "status": "in_progress", "message": "Mounting volumes", "metadata": map[string]any{"progress_percent": 45}}
	exampleFailureIn = map[string]any{"state_code": 45, "error_message": "Volume mount failed", "error_code": "MOUNT_001", "component": "ansible", "is_retryable": true}
	exampleFailure   = FailureRow{ID: "018d64e2-7c31-7e5a-9b74-3f4e5d6c7b8a", BuildID: exampleBuild.ID, StateCode: 45, State: 45, FailureClass: Transient, ErrorMessage: "Volume mount failed",
		ErrorCode: "MOUNT_001", Component: "ansible", RetryAttempt: 1, Attempt: 1, Status: Failed, CreatedAt: exampleTime}.show()
	exampleWorker = "runner-7"
	exampleCounts = map[string]int{"builds": 12, "platforms": 9, "projects": 2, "status:in_progress": 1, "status:completed": 9, "status:failed": 2, "state:45": 1, "state:60": 2, "state:100": 9}
	exampleBuilds = []*Build{&exampleBuild}
)

func exampleStateView() StateView {
	return StateView{BuildID: exampleBuild.ID, CurrentState: 45, StateCode: 45, Status: InProgress, Message: exampleState.Message, Attempt: 1, LastUpdated: exampleTime, LastTransition: exampleTime, TransitionedAt: exampleTime,
		History: []StateBrief{{StateCode: 45, Status: InProgress, Timestamp: exampleTime, Message: exampleState.Message, Attempt: 1}}, StateHistory: []ShownState{exampleState}}
}

func exampleHistory() HistoryRow {
	e := Entry{Seq: 1, ID: "018d64e2-d297-7eb0-b1da-9fa0b1c2d3e4", BuildID: exampleBuild.ID, Kind: Created, At: exampleTime, Actor: "ci", Credential: "key:ci", Attempt: 1, After: Where{Status: Pending}}
	r, _ := Link(Head{}, e) // what is written here can be marshalled
	return HistoryRow{Entry: e, Hash: r.Hash, Prev: r.Prev, JSON: r.JSON}
}

var (
	exampleSize       = int64(5368709120)
	exampleSum        = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	exampleArtifactIn = map[string]any{"state_code": 40, "artifact_name": "vm-snapshot", "artifact_type": "vm_snapshot", "artifact_path": "s3://builds/2024.02.001/vm.qcow2",
		"storage_backend": "s3", "size_bytes": 5368709120, "checksum": exampleSum, "is_resumable": true, "metadata": map[string]any{"snapshot_id": "snap-0abc"}}
	exampleArtifact = Artifact{ID: "018d64e2-8d42-7f6b-8c85-4a5b6c7d8e9f", BuildID: exampleBuild.ID, StateCode: 40, Name: "vm-snapshot", Type: "vm_snapshot",
		Path: "s3://builds/2024.02.001/vm.qcow2", Backend: "s3", Size: &exampleSize, Checksum: &exampleSum, Algorithm: "sha256", Resumable: true, Attempt: 1,
		CreatedAt: exampleTime, UpdatedAt: exampleTime}
	exampleVariableIn = map[string]any{"variable_key": "vm_id", "variable_value": "vm-123", "set_at_state": 20, "is_required_for_resume": true}
	exampleVariable   = Variable{ID: "018d64e2-9e53-7a7c-9d96-5b6c7d8e9fa0", BuildID: exampleBuild.ID, Key: "vm_id", Value: "vm-123", Type: "string", Required: true,
		CreatedAt: exampleTime, UpdatedAt: exampleTime}
)

var (
	exampleJobIn = map[string]any{"platform": "concourse", "pipeline_name": "images", "job_name": "rhel-9", "job_url": "https://ci.example/builds/4711", "status": "running"}
	exampleJob   = Job{ID: "018d64e2-af64-7b8d-8ea7-6c7d8e9fa0b1", BuildID: exampleBuild.ID, Platform: "concourse", Name: "rhel-9", Status: JobRunning, Attempt: 1,
		StartedAt: &exampleTime, CreatedAt: exampleTime, UpdatedAt: exampleTime}
	exampleBeat     = HeartbeatAnswer{Attempt: 1, Revision: 8, LeaseUntil: exampleTime.Add(10 * time.Minute)}
	exampleResumeIn = map[string]any{"resume_from_state": 45, "resume_reason": "volume quota was raised", "request_source": "cli"}
	exampleRequest  = Request{ID: "018d64e2-b075-7c9e-9fb8-7d8e9fa0b1c2", RequestID: "018d64e2-b075-7c9e-9fb8-7d8e9fa0b1c2", BuildID: exampleBuild.ID, Attempt: 2, From: 45, Asked: 45,
		RequestedBy: "018d64e2-c186-7daf-a0c9-8e9fa0b1c2d3", Source: "cli", Strategy: FromArtifact, Status: RequestPending, CreatedAt: exampleTime, UpdatedAt: exampleTime}
	exampleCode    = 45
	exampleDone    = 40
	exampleContext = Context{BuildID: exampleBuild.ID, BuildNumber: exampleBuild.Number, Attempt: 1, CurrentState: 45, LastSuccessful: &exampleDone, FailedState: &exampleCode,
		ResumeFrom: 45, Artifacts: []*Artifact{&exampleArtifact}, Variables: map[string]string{"vm_id": "vm-123"}}
	exampleTook = int64(1200)
	examplePlan = Plan{BuildID: exampleBuild.ID, Attempt: 1, Resumable: true, Reason: OK, Detail: "Restore 'vm-snapshot' of state 40, then run from state 45 on.", Strategy: FromArtifact,
		From: 45, Why: "State 45 failed.", LastCompleted: &exampleDone, FailedState: &exampleCode, MinutesSaved: 20,
		Restore:   []Restore{{ArtifactID: exampleArtifact.ID, ArtifactName: "vm-snapshot", StateCode: 40, ArtifactPath: exampleArtifact.Path, Checksum: &exampleSum, Algorithm: "sha256", ChecksumKnown: true}},
		Artifacts: []PlanArtifact{{Name: "vm-snapshot", Found: true, ChecksumKnown: true}}, Variables: []PlanVariable{{Key: "vm_id", Required: true, Found: true}},
		States: []PlanState{{StateCode: 40, Name: "packages", Action: ActionRestore, Why: "Artifact 'vm-snapshot' holds its result.", Typical: &exampleTook, By: &exampleWorker, At: &exampleTime},
			{StateCode: 45, Name: "storage", Action: ActionRun, Why: "It failed in attempt 1."}}, Warnings: []string{}}
)

var (
	exampleUploadIn = map[string]any{"state_code": 40, "artifact_name": "rootfs", "size_bytes": 209715200}
	exampleUpload   = Upload{ID: "018d64e2-e3a8-7fc1-82ec-b0c1d2e3f4a5", BuildID: exampleBuild.ID, Name: "rootfs", StateCode: 40, Attempt: 1, PartSize: DefaultPart, Size: &exampleFileSize,
		CreatedAt: exampleTime, ExpiresAt: exampleTime.Add(UploadLife)}
	exampleFileSize   = int64(209715200)
	examplePart       = Part{Number: 1, Size: DefaultPart, CRC32C: "yZRlqg=="}
	exampleParts      = map[string]any{"parts": []Part{examplePart}}
	exampleSigned     = SignedParts{[]SignedPart{{1, Signed{Method: "PUT", URL: "https://bucket.s3.eu-central-1.amazonaws.com/builds/…", Headers: map[string]string{"x-amz-checksum-crc32c": "yZRlqg=="}, ExpiresAt: exampleTime.Add(time.Hour)}}}}
	exampleCompleteIn = map[string]any{"size_bytes": exampleFileSize, "checksum": exampleSum, "checksum_crc32c": "nWuyHw==-25", "artifact_type": "disk_image"}
	exampleDownload   = Download{&exampleArtifact, Signed{Method: "GET", URL: "https://bucket.s3.eu-central-1.amazonaws.com/builds/…", ExpiresAt: exampleTime.Add(time.Hour)}}
)
