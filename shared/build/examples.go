package build

import "time"

// The examples of the OpenAPI document, as values of the types they show.
var (
	exampleTime   = time.Date(2024, 2, 1, 10, 30, 0, 0, time.UTC)
	exampleState  = StateRow{ID: "018d64e2-6b20-7d4f-8a63-2e3d4c5b6a79", BuildID: exampleBuild.ID, StateCode: 45, State: 45, Status: InProgress, Message: "Mounting volumes", StartTime: exampleTime, Attempt: 1, Timestamp: exampleTime, CreatedAt: exampleTime}
	exampleBuild  = Build{ID: "018d64e2-5a10-7c3e-9f52-1d2c3b4a5968", Number: "2024.02.001", ProjectID: "018d64e2-0000-7000-8000-000000000001", PlatformID: "aws-commercial", OSVersionID: "rhel-9.3", ImageTypeID: "base", Current: 45, Status: InProgress, Attempt: 1, Rev: 8, CreatedBy: "ci", CreatedAt: exampleTime, UpdatedAt: exampleTime, StartTime: &exampleTime}
	exampleCreate = map[string]any{"project_id": "rhel-9", "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base",
		"build_number": "2024.02.001", "build_metadata": map[string]any{"commit_sha": "abc123"}}
	exampleReport    = map[string]any{"state_code": 45, "status": "in_progress", "message": "Mounting volumes", "metadata": map[string]any{"progress_percent": 45}}
	exampleFailureIn = map[string]any{"state_code": 45, "error_message": "Volume mount failed", "error_code": "MOUNT_001", "component": "ansible", "is_retryable": true}
	exampleFailure   = FailureRow{ID: "018d64e2-7c31-7e5a-9b74-3f4e5d6c7b8a", BuildID: exampleBuild.ID, StateCode: 45, State: 45, FailureClass: Transient, ErrorMessage: "Volume mount failed",
		ErrorCode: "MOUNT_001", Component: "ansible", RetryAttempt: 1, Attempt: 1, Status: Failed, CreatedAt: exampleTime}
)

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
