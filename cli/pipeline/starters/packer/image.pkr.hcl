# The null builder needs no cloud; put a builder of your cloud in its place.
variable "manifest" {
  type    = string
  default = "manifest.json"
}

source "null" "image" {
  communicator = "none"
}

build {
  sources = ["source.null.image"]

  provisioner "shell-local" {
    command = "ansible-playbook -i localhost, -c local playbook.yml"
  }

  post-processor "manifest" {
    output = var.manifest
  }
}
