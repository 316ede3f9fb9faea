package v1

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// RestartedAt is the annotation of a Service that says when somebody last asked for a restart. It counts as part of the
// template: tasks from before are replaced one by one, and the image is looked up anew. Applying a file leaves it as it is.
const RestartedAt = "warren.io/restarted-at"

// TemplateHash tells templates apart: tasks with another hash than their service's are outdated.
func TemplateHash(s *Service) string {
	data, err := json.Marshal(s.Spec.TaskTemplate)
	if err != nil {
		panic(err) // plain data always encodes
	}
	sum := sha256.Sum256(append(data, s.Metadata.Annotations[RestartedAt]...))
	return hex.EncodeToString(sum[:6])
}
